package main

import (
	"errors"
	"fmt"
	"image"
	"slices"

	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

// An opening is how to open one session now.
type opening struct {
	runtime tensorrt.Config
	engine  *engines.Engine // held while it is opened; nil: TensorRT is not tried
	missing *engineJob      // to build if a provider serves that comes after TensorRT
	rank    int             // of TensorRT in the list
	list    []string
}

// prepare looks for the engine of a model. Without one TensorRT is left out,
// since ONNX Runtime would build it on the spot, for minutes, unless nothing
// else may serve: then the builder is waited for.
func (k *engineKeeper) prepare(m *tensorrt.Model, size image.Point, c tensorrt.Config) (opening, error) {
	o := opening{runtime: c, list: c.ProvidersFor(m.Kind)}
	o.rank = slices.Index(o.list, tensorrt.TensorRT)
	if o.rank < 0 {
		return o, nil
	}
	err := k.acquire(&o, m, size)
	rest := slices.Delete(slices.Clone(o.list), o.rank, o.rank+1)
	insists := len(rest) == 0
	if err != nil && o.missing != nil && insists {
		if err = k.await(*o.missing); err == nil {
			err = k.acquire(&o, m, size)
		}
	}
	if err == nil {
		k.skip(m.Kind, "")
		return o, nil
	}
	k.skip(m.Kind, err.Error())
	if insists {
		return o, fmt.Errorf("tensorrt, and nothing else may serve: %w", err)
	}
	o.runtime = c.WithProviders(rest...)
	return o, nil
}

// acquire takes hold of an engine; the error says for people why there is none.
func (k *engineKeeper) acquire(o *opening, m *tensorrt.Model, size image.Point) error {
	s, err := k.source()
	if err != nil {
		return err
	}
	j, err := s.job(&o.runtime, m, size)
	if err != nil {
		return err
	}
	if o.engine, err = s.cache.Acquire(j.key); err != nil {
		if errors.As(err, new(*engines.CorruptError)) {
			k.log.Error("an engine cannot be used", "error", err)
		}
		o.missing = &j
		return fmt.Errorf("its engine for %s: %w", sizeText(size), err)
	}
	o.missing = nil
	o.runtime = o.runtime.WithEngineCache(o.engine.Dir, "")
	return nil
}

// opened ends an opening: the engine, if one is missed, is built from now on.
func (k *engineKeeper) opened(o opening, provider string) {
	o.engine.Close()
	lesser := slices.Index(o.list, provider) > o.rank
	if o.missing == nil || !lesser {
		return
	}
	if k.mayBuild() && k.config.Load().Engines.Background {
		k.want(*o.missing)
		return
	}
	k.skip(o.missing.model.Kind, k.skippedFor(o.missing.model.Kind)+"; `sharpend engines build` builds it")
}

func (k *engineKeeper) mayBuild() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.builds
}

func (k *engineKeeper) skip(kind, why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.skipped[kind] = why
}

func (k *engineKeeper) skippedFor(kind string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.skipped[kind]
}

// explain adds to what is known of a session why TensorRT was not even tried.
func (k *engineKeeper) explain(kind string, s *sessionInfo) *sessionInfo {
	why := k.skippedFor(kind)
	if s == nil || why == "" || s.Provider == tensorrt.TensorRT || s.Skipped[tensorrt.TensorRT] != "" {
		return s
	}
	t := *s
	t.Skipped = map[string]string{tensorrt.TensorRT: why}
	for provider, reason := range s.Skipped {
		t.Skipped[provider] = reason
	}
	return &t
}
