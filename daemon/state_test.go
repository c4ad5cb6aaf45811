package main

import (
	"errors"
	"testing"

	"sharpend/tensorrt"
)

func TestSessionInfoSaysWhyNotAndHowFar(t *testing.T) {
	i := sessionOf(tensorrt.CUDA, []tensorrt.Attempt{
		{Provider: tensorrt.TensorRT, Err: errors.New("no engine"), Difference: "max 200"},
		{Provider: tensorrt.CUDA, Difference: "max 1"},
	})
	if i.Provider != "cuda" || len(i.Skipped) != 1 || i.Skipped["tensorrt"] != "no engine" || i.Difference != "max 1" {
		t.Errorf("found %+v", i)
	}
}
