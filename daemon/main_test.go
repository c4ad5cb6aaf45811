package main

import (
	"fmt"
	"os"
	"testing"
)

// TestMain points the tests at the tree's own models and library.
func TestMain(m *testing.M) {
	if how := os.Getenv(fakeBuilderEnv); how != "" {
		os.Exit(fakeBuilder(how))
	}
	os.Setenv("SHARPEND_MODELS", "../models")
	if os.Getenv("SHARPEND_ONNXRUNTIME") == "" {
		const library = "../lib/libonnxruntime.so.1"
		if !exists(library) {
			fmt.Fprintln(os.Stderr, "no ONNX Runtime: run make lib")
			os.Exit(1)
		}
		os.Setenv("SHARPEND_ONNXRUNTIME", library)
	}
	os.Exit(m.Run())
}
