package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"sharpend/capture"
	"sharpend/config"
	"sharpend/tensorrt"
)

func checkCommand(_ context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", "configuration file")
	o := newOverrides(flags)
	return func(args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if *file == "" {
			return usagef("--config FILE is missing")
		}
		c, err := loadConfig(*file, o.apply)
		if err != nil {
			return err
		}
		if err := c.checkFiles(); err != nil {
			return err
		}
		text, err := config.Effective(c)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "# %s is valid. In force:\n%s", *file, text)
		return err
	}
}

// checkFiles goes beyond the file's own text: the models must load and belong
// together, and a clip must be there. The camera may be absent.
func (c *Config) checkFiles() error {
	if _, err := c.start(slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	defer tensorrt.Stop()
	if c.Camera.Source == capture.File && !exists(c.Camera.Path) {
		return fmt.Errorf("camera.path: there is no %s", c.Camera.Path)
	}
	return nil
}

func versionCommand(_ context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	return func(args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		_, err := fmt.Fprintf(env.stdout, "sharpend %s\n", version)
		return err
	}
}
