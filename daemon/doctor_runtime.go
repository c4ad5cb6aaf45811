package main

import (
	"cmp"
	"debug/elf"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sharpend/board"
	"sharpend/infer"
	"sharpend/tensorrt"
)

// checkRuntime finds and starts ONNX Runtime and tries its providers.
func (d *doctor) checkRuntime() {
	path, why, err := tensorrt.Library(d.config.Runtime.Library)
	if err == nil {
		err = tensorrt.Start(path)
	}
	if err != nil {
		d.tell(finding{"onnxruntime", fail, err.Error(), "install ONNX Runtime 1.24 or later (make lib; on a Jetson the onnxruntime-gpu wheel of your JetPack)"})
		return
	}
	d.library = path
	d.tell(finding{"onnxruntime", fine, fmt.Sprintf("%s, %s (%s)", tensorrt.Version(), path, why), ""})
	attempts := tensorrt.Probe(d.config.Runtime)
	f, chosen := providersFinding(d.config.Runtime.Providers, attempts, hasGPU("/"))
	f.require(&d.config.Runtime, chosen, attempts)
	d.chosen = chosen
	d.tell(f)
}

// hasGPU looks for what NVIDIA's drivers put there, of cards and of Jetsons.
func hasGPU(root string) bool {
	return slices.ContainsFunc([]string{"dev/nvidia0", "dev/nvhost-gpu", "dev/nvgpu", "dev/nvmap", "proc/driver/nvidia/version"},
		func(path string) bool { return exists(filepath.Join(root, path)) })
}

// providersFinding says which provider of the list will run, and why not those before it.
func providersFinding(list []string, attempts []tensorrt.Attempt, gpu bool) (f finding, chosen string) {
	var skipped reasons
	for _, name := range list {
		i := slices.IndexFunc(attempts, func(a tensorrt.Attempt) bool { return a.Provider == name })
		if i < 0 {
			continue
		}
		if attempts[i].Err == nil {
			chosen = name
			break
		}
		skipped.add(name, whyNot(attempts[i].Err))
	}
	f = finding{Name: "providers", Status: fine, Detail: strings.Join(append([]string{chosen + " runs"}, skipped.texts()...), "; ")}
	const advice = "use an ONNX Runtime built for the GPU (runtime.library), and see the line gpu software"
	switch {
	case chosen == "":
		f.Status, f.Detail, f.Advice = fail, "none of runtime.providers runs: "+strings.Join(skipped.texts(), "; "), advice+", or add cpu to runtime.providers"
	case len(skipped) > 0 && chosen == tensorrt.CPU && gpu:
		f.Status, f.Advice = warn, "the GPU lies idle: "+advice
	case len(skipped) > 0 && gpu:
		f.Status, f.Advice = warn, advice
	case len(skipped) > 0:
		f.Detail += " (no NVIDIA GPU here)"
	}
	return f, chosen
}

// require holds the finding to runtime.require.
func (f *finding) require(c *tensorrt.Config, chosen string, attempts []tensorrt.Attempt) {
	if chosen == "" {
		return
	}
	less := c.Less(chosen, sessionOf(chosen, attempts).Skipped)
	if less == "" {
		return
	}
	f.Status, f.Detail = warn, less+" (runtime.on_less: "+c.OnLess+")"
	if c.OnLess == tensorrt.OnLessExit {
		f.Status = fail
	}
	f.Advice = cmp.Or(f.Advice, "install what it needs, or ask for less in runtime.require")
}

// reasons holds why providers do not run, those with the same reason together.
type reasons []reason

type reason struct {
	providers []string
	why       string
}

func (r *reasons) add(provider, why string) {
	for i := range *r {
		if (*r)[i].why == why {
			(*r)[i].providers = append((*r)[i].providers, provider)
			return
		}
	}
	*r = append(*r, reason{[]string{provider}, why})
}

func (r reasons) texts() (list []string) {
	for _, reason := range r {
		verb := " does not: "
		if len(reason.providers) > 1 {
			verb = " do not: "
		}
		list = append(list, strings.Join(reason.providers, " and ")+verb+reason.why)
	}
	return list
}

var missingLibrary = regexp.MustCompile(`Failed to load library \S*/(\S+) with error: (\S+): cannot open shared object file`)

// whyNot shortens what ONNX Runtime says when a library is missing.
func whyNot(err error) string {
	m := missingLibrary.FindStringSubmatch(err.Error())
	switch {
	case strings.Contains(err.Error(), "libonnxruntime_providers_shared.so: cannot open"):
		return "this ONNX Runtime is for the CPU only, there is no libonnxruntime_providers_shared.so beside it"
	case m != nil:
		return m[1] + " needs " + m[2] + ", which is not installed"
	}
	return err.Error()
}

// A software is what the GPU's providers are made of.
type software struct {
	identity board.Identity
	gpu      bool // there is one
	wanted   bool // runtime.providers names it
	versions []string
	missing  []string // "FILE needs LIBRARY" for what is not installed
}

func (d *doctor) checkSoftware() {
	libraries := board.FindLibraries("/", filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))...)
	s := software{identity: board.Identify("/"), gpu: hasGPU("/"), missing: missingFor(d.library, libraries)}
	s.wanted = slices.ContainsFunc(d.config.Runtime.Providers, func(p string) bool { return p != tensorrt.CPU })
	for _, l := range []struct{ name, stem string }{{"CUDA", "libcudart"}, {"cuDNN", "libcudnn"}, {"TensorRT", "libnvinfer"}} {
		if v := libraries.Version(l.stem); v != "" {
			s.versions = append(s.versions, l.name+" "+v)
		}
	}
	d.tell(s.finding())
}

// missingFor reads from the provider libraries beside ONNX Runtime what they
// need of CUDA, cuDNN and TensorRT, and lists what is not there.
func missingFor(library string, have board.Libraries) (missing []string) {
	if real, err := filepath.EvalSymlinks(library); err == nil {
		library = real
	}
	for _, provider := range []string{"cuda", "tensorrt"} {
		name := "libonnxruntime_providers_" + provider + ".so"
		for _, soname := range needs(filepath.Join(filepath.Dir(library), name)) {
			if board.Concerns(soname) && !have.Has(soname) {
				missing = append(missing, name+" needs "+soname)
			}
		}
	}
	return missing
}

// needs lists the libraries that a library is linked with; none when it is not there.
func needs(path string) []string {
	file, err := elf.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	list, _ := file.ImportedLibraries()
	return list
}

const (
	oldestJetPack = "6.1"
	oldestL4T     = "36.4" // of JetPack 6.1
)

func (s software) finding() finding {
	parts := s.versions
	if s.identity.L4T != "" {
		parts = append([]string{"L4T " + s.identity.L4T}, parts...)
	}
	if s.identity.JetPack != "" {
		parts = append([]string{"JetPack " + s.identity.JetPack}, parts...)
	}
	f := finding{Name: "gpu_software", Status: fine, Detail: strings.Join(parts, ", ")}
	old := s.identity.JetPack != "" && !board.AtLeast(s.identity.JetPack, oldestJetPack) ||
		s.identity.JetPack == "" && s.identity.L4T != "" && !board.AtLeast(s.identity.L4T, oldestL4T)
	switch {
	case len(parts) == 0 && !s.gpu:
		f.Detail = "none, and no NVIDIA GPU: the CPU computes"
	case old && s.wanted:
		f.Status, f.Detail = fail, f.Detail+": there is no ONNX Runtime 1.24 or later with GPU providers for it"
		f.Advice = "install JetPack " + oldestJetPack + " or later, or write runtime.providers: [cpu]"
	case s.wanted && len(s.missing) > 0:
		f.Status, f.Detail = warn, strings.TrimPrefix(f.Detail+"; "+strings.Join(s.missing, ", ")+", which is not installed", "; ")
		f.Advice = "install the versions that this ONNX Runtime was built for, or an ONNX Runtime built for those that are installed"
	case s.wanted && s.gpu && len(s.versions) < 3:
		f.Status, f.Detail = warn, f.Detail+": not all of CUDA, cuDNN and TensorRT were found"
		f.Advice = "on a Jetson: sudo apt-get install nvidia-jetpack"
	}
	return f
}

// checkModels loads both networks and checks that they belong together.
func (d *doctor) checkModels() {
	if d.library == "" {
		return // that line says it
	}
	n, err := d.config.loadNetworks()
	if err != nil {
		d.tell(finding{"models", fail, err.Error(), "name files that fit together; a bare name such as predictor-s.onnx is a shipped model ($SHARPEND_MODELS says where they lie)"})
		return
	}
	d.model = n.predictor
	detail := n.predictor.Name + ", keyframes are not refined"
	if n.denoiser != nil {
		detail = n.predictor.Name + " and " + n.denoiser.Name + ", which belong together"
	}
	d.tell(finding{"models", fine, detail, ""})
}

// checkSpeed runs the predictor at the camera's size. Not on TensorRT: building
// its engine takes minutes.
func (d *doctor) checkSpeed() {
	if d.model == nil || d.chosen == "" || d.chosen == tensorrt.TensorRT || d.granted.Width == 0 {
		return
	}
	took, err := d.predictionTime()
	if err != nil {
		d.tell(finding{"speed", fail, err.Error(), "sharpend bench says more"})
		return
	}
	d.tell(speedFinding(d.chosen, took, d.rate))
}

// predictionTime is the best of a few runs, within a few seconds: the machine may be busy with us.
func (d *doctor) predictionTime() (best time.Duration, err error) {
	c := d.config.Runtime
	c.Providers = []string{d.chosen}
	p, err := tensorrt.OpenPredictor(d.model, c, d.granted.Width, d.granted.Height)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	picture := func() *image.YCbCr { return infer.NewPlanes(d.granted.Width, d.granted.Height, d.model.Multiple) }
	b, err := p.Bind(picture(), picture())
	if err != nil {
		return 0, err
	}
	defer b.Close()
	start := time.Now()
	for i := 0; i < 5 && (i == 0 || time.Since(start) < 3*time.Second); i++ {
		begin := time.Now()
		if err := b.Run(); err != nil {
			return 0, err
		}
		if took := time.Since(begin); i == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

func speedFinding(provider string, took time.Duration, rate float64) finding {
	able := 1 / took.Seconds()
	f := finding{"speed", fine, fmt.Sprintf("%s predicts a frame in %.1f ms: up to %.1f frames/s, and the camera gives %.1f", provider, milliseconds(took), able, rate), ""}
	if able < rate {
		f.Status = warn
		f.Advice = "frames will be dropped, always the older ones: choose a smaller camera.width and height, or a GPU"
	}
	return f
}
