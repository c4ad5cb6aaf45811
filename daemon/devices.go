package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"sharpend/capture"
	"sharpend/tensorrt"
)

func devicesCommand(_ context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	library := flags.String("library", "", "ONNX Runtime's library (runtime.library)")
	return func(args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if err := listCameras(env); err != nil {
			return err
		}
		return listProviders(env, *library)
	}
}

func listCameras(env environment) error {
	devices, err := capture.Devices()
	if err != nil {
		return err
	}
	if len(devices) == 0 {
		fmt.Fprintln(env.stdout, "No camera: there is no video capture device under /dev.")
	}
	for _, d := range devices {
		fmt.Fprintf(env.stdout, "%s  %s (%s, %s)\n", d.Path, d.Card, d.Driver, d.Bus)
		for _, n := range d.Names {
			fmt.Fprintf(env.stdout, "  %s\n", n)
		}
		for _, f := range d.Formats {
			fmt.Fprintf(env.stdout, "    %s\n", f)
		}
		if d.Problem != "" {
			fmt.Fprintf(env.stdout, "    cannot be used: %s\n", d.Problem)
		}
	}
	return nil
}

func listProviders(env environment, library string) error {
	path, why, err := tensorrt.Library(library)
	if err != nil {
		return err
	}
	if err := tensorrt.Start(path); err != nil {
		return err
	}
	defer tensorrt.Stop()
	fmt.Fprintf(env.stdout, "\nONNX Runtime %s, %s (%s)\n", tensorrt.Version(), path, why)
	c := tensorrt.Default()
	c.Providers = []string{"tensorrt", "cuda", "cpu"}
	for _, a := range tensorrt.Probe(c) {
		if a.Err != nil {
			fmt.Fprintf(env.stdout, "  %-9s no: %v\n", a.Provider, a.Err)
		} else {
			fmt.Fprintf(env.stdout, "  %-9s works\n", a.Provider)
		}
	}
	return nil
}
