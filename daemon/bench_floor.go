package main

import (
	"fmt"
	"image"
	"io"
	"strconv"
	"strings"

	"sharpend/tensorrt"
)

// A peak is what a GPU can do at best, by NVIDIA's data sheet: dense, without sparsity.
type peak struct {
	TF32      float64 `json:"tf32_tflops"` // of its tensor cores: what CUDA and TensorRT take for float32
	FP16      float64 `json:"fp16_tflops"`
	Bandwidth float64 `json:"gb_per_s"`
}

var peaks = map[string]peak{
	"NVIDIA H100 80GB HBM3": {494.7, 989.4, 3350},
	"NVIDIA H200":           {494.7, 989.4, 4800},
}

func peakOf(gpu string) *peak {
	if p, ok := peaks[gpu]; ok {
		return &p
	}
	return nil
}

// A work is what one run of a network at one size has to do.
type work struct{ gflop, gigabytes float64 }

// workOf takes the multiplications from the network's metadata and the bytes
// from a profile on the CPU, layer by layer.
func (b *networkBench) workOf(m *tensorrt.Model, size image.Point) (work, error) {
	padded, err := m.Padded(size.X, size.Y)
	if err != nil {
		return work{}, err
	}
	nodes, err := tensorrt.Nodes(m, b.config.Runtime, tensorrt.CPU, size.X, size.Y)
	if err != nil {
		return work{}, err
	}
	gmac, _ := strconv.ParseFloat(m.Meta["gmac_720p"], 64) // absent: no floor
	w := work{gflop: 2 * gmac * float64(padded.X*padded.Y) / (1280 * 720)}
	for _, n := range nodes {
		w.gigabytes += float64(n.Bytes) / 1e9
	}
	return w, nil
}

// floors are the least milliseconds of a run: for its arithmetic, and for the
// bytes that its layers exchange if none of them stays in a cache.
func (p *peak) floors(r *networkRun) (arithmetic, traffic float64) {
	rate, gigabytes := p.TF32, r.Gigabytes
	if r.Precision != tensorrt.FP32 {
		rate, gigabytes = p.FP16, gigabytes/2
	}
	return r.GFLOP / rate, 1000 * gigabytes / p.Bandwidth
}

// print writes Markdown, as docs/performance.md has it.
func (r *networksResult) print(w io.Writer) {
	fmt.Fprintf(w, "sharpend %s, ONNX Runtime %s", r.Version, r.ONNX)
	if r.GPU != "" {
		fmt.Fprintf(w, ", %s", r.GPU)
	}
	fmt.Fprintln(w)
	for _, runs := range r.kinds() {
		unit := "a frame"
		if runs[0].Kind == tensorrt.DenoiserKind {
			unit = "a refinement step"
		}
		fmt.Fprintf(w, "\n`%s`, %s:\n\n", runs[0].Network, unit)
		fmt.Fprintln(w, "| size | provider | precision | p50 ms | p99 ms | TFLOP/s | floor: arithmetic ms | floor: traffic ms | opened in s | again in s | from the CPU | who runs it |")
		fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|---|---|")
		var failed reasons
		for i := range runs {
			if n := &runs[i]; n.Error != "" {
				failed.add(n.Provider+" "+n.Precision+" "+n.Size, n.Error)
			} else {
				fmt.Fprintln(w, r.row(n))
			}
		}
		for _, f := range failed {
			fmt.Fprintf(w, "\nNot measured: %s: %s\n", strings.Join(f.providers, ", "), f.why)
		}
	}
}

func (r *networksResult) row(n *networkRun) string {
	floors, difference := "- | -", "-"
	if r.Peak != nil && n.Provider != tensorrt.CPU {
		arithmetic, traffic := r.Peak.floors(n)
		floors = fmt.Sprintf("%.3f | %.3f", arithmetic, traffic)
	}
	if n.Difference != "" {
		difference = n.Difference
	}
	return fmt.Sprintf("| %s | %s | %s | %.2f | %.2f | %.2f | %s | %.1f | %.1f | %s | %s |",
		n.Size, n.Provider, n.Precision, n.Run.P50, n.Run.P99, n.GFLOP/n.Run.P50, floors, n.Cold, n.Warm, difference, n.Nodes)
}
