// Bench measures what sharpend costs per frame beside the same pipeline written plainly in C (the
// limit: decode to RGB, copy, encode, publish) and in Python: MJPEG 4:2:2 at 1280x720 in, an
// identity network, JPEG of quality 85 out, published with QoS 0 to one mosquitto on loopback.
// Every round runs all of them in turn, so that whatever else the machine does meets all alike;
// it reports medians over the rounds. Run it from the repository's root: make bench-pipeline.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A cost is what one frame takes.
type cost struct {
	CPU  float64 `json:"cpu_ms"`
	Wall float64 `json:"wall_ms"`
}

// A contestant is measured once a round.
type contestant struct {
	name    string
	measure func() (cost, error)
}

const config = "bench/identity.yaml"

// warm is how many frames the shorter of sharpend's two runs has: what it takes to start is in
// both, so their difference is the cost of the frames that the longer one has more.
const warm = 100

// tolerated is how many frames may be lost before the broker has answered, or to its time-out
// on a busy machine. They are decoded all the same.
const tolerated = 25

func main() {
	rounds := flag.Int("rounds", 5, "how often each is measured")
	frames := flag.Int("frames", 500, "frames in one measurement")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	if err := run(*rounds, *frames, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(rounds, frames int, asJSON bool) error {
	folder, err := os.MkdirTemp("", "sharpend-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	loop, err := prepare(folder, frames)
	if err != nil {
		return err
	}
	broker, port, err := startMosquitto(folder)
	if err != nil {
		return err
	}
	defer broker.Wait()
	defer broker.Process.Kill()
	all := contestants(folder, loop, port, frames)
	costs, err := inTurn(all, rounds)
	if err != nil {
		return err
	}
	return report(all, costs, asJSON)
}

// prepare compiles the C loop and makes the clips: short.mjpeg and long.mjpeg.
func prepare(folder string, frames int) (loop string, err error) {
	loop = filepath.Join(folder, "loop")
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "libturbojpeg").Output()
	if err != nil {
		return "", fmt.Errorf("pkg-config libturbojpeg: %w", err)
	}
	args := append([]string{"-O3", "-o", loop, "bench/loop/loop.c", "bench/loop/clip.c"}, strings.Fields(string(flags))...)
	if _, err := output("cc", append(args, "-lm")...); err != nil {
		return "", err
	}
	for name, n := range map[string]int{"short": warm, "long": warm + frames} {
		if _, err := output(loop, "clip", filepath.Join(folder, name+".mjpeg"), strconv.Itoa(n)); err != nil {
			return "", err
		}
	}
	return loop, nil
}

// contestants are sharpend (on all cores and on one, as the C loop is), the C loop twice and, where Debian's Python packages are there, Python.
func contestants(folder, loop string, port, frames int) []contestant {
	short, long := filepath.Join(folder, "short.mjpeg"), filepath.Join(folder, "long.mjpeg")
	args := []string{long, strconv.Itoa(port), strconv.Itoa(frames)}
	all := []contestant{
		{"c", func() (cost, error) { return reported(loop, args...) }},
		{"c fast dct", func() (cost, error) { return reported(loop, append(args, "fast")...) }},
		{"sharpend", func() (cost, error) { return sharpend(short, long, port, frames) }},
		{"on one core", func() (cost, error) { return sharpend(short, long, port, frames, "taskset", "--cpu-list", "0") }},
	}
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	if exec.Command(python, "-c", "import cv2, paho.mqtt.client").Run() != nil {
		fmt.Fprintln(os.Stderr, "bench: no Python loop; for that: apt-get install python3-opencv python3-paho-mqtt")
		return all
	}
	return append(all, contestant{"python", func() (cost, error) {
		return reported(python, append([]string{"bench/loop/loop.py"}, args...)...)
	}})
}

// inTurn measures all contestants in every round.
func inTurn(all []contestant, rounds int) (map[string][]cost, error) {
	costs := map[string][]cost{}
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, rounds)
		for _, c := range all {
			one, err := c.measure()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			costs[c.name] = append(costs[c.name], one)
		}
	}
	return costs, nil
}

// reported runs a program that prints its cost as JSON.
func reported(program string, args ...string) (c cost, err error) {
	out, err := output(program, args...)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(out, &c)
}

// sharpend returns the cost of the frames that long has more than short.
// Under are the words of a command that runs it.
func sharpend(short, long string, port, frames int, under ...string) (c cost, err error) {
	a, err := play(short, port, warm, under)
	if err != nil {
		return c, err
	}
	b, err := play(long, port, warm+frames, under)
	return cost{(b.CPU - a.CPU) / float64(frames), (b.Wall - a.Wall) / float64(frames)}, err
}

var inOut = regexp.MustCompile(`(\d+) frames in, (\d+) out`)

// play runs the daemon over a whole clip and returns what the run took in all.
func play(clip string, port, frames int, under []string) (total cost, err error) {
	broker := fmt.Sprintf("mqtt://127.0.0.1:%d", port)
	words := append(slices.Clone(under), "bin/sharpend", "run", "--config", config, "--path", clip, "--broker", broker)
	command := exec.Command(words[0], words[1:]...)
	begin := now()
	out, err := command.CombinedOutput()
	total.Wall = now() - begin
	if err != nil {
		return total, fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	state := command.ProcessState
	total.CPU = float64((state.UserTime() + state.SystemTime()).Microseconds()) / 1e3
	if in, sent := counts(out); in != frames || sent < frames-tolerated {
		return total, fmt.Errorf("%s: of %d frames %d came in and %d out:\n%s", command, frames, in, sent, out)
	}
	return total, nil
}

// counts reads the daemon's summary.
func counts(out []byte) (in, sent int) {
	if m := inOut.FindSubmatch(out); m != nil {
		in, _ = strconv.Atoi(string(m[1]))
		sent, _ = strconv.Atoi(string(m[2]))
	}
	return in, sent
}

func output(program string, args ...string) ([]byte, error) {
	command := exec.Command(program, args...)
	var errors bytes.Buffer
	command.Stderr = &errors
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", command, err, errors.Bytes())
	}
	return out, err
}

// A line of the report holds one contestant's medians.
type line struct {
	Name  string  `json:"name"`
	Cost  cost    `json:"median"`
	Least float64 `json:"least_cpu_ms"`
	Most  float64 `json:"most_cpu_ms"`
	Ratio float64 `json:"sharpend_to_this"` // CPU, the median over the rounds of the ratio in one round
}

func report(all []contestant, costs map[string][]cost, asJSON bool) error {
	var lines []line
	for _, c := range all {
		lines = append(lines, summarize(c.name, costs[c.name], costs["sharpend"]))
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(lines)
	}
	fmt.Println("per frame   CPU ms (least to most)    wall ms   sharpend is, by CPU")
	for _, l := range lines {
		fmt.Printf("%-11s %6.2f (%.2f to %.2f) %11.2f   %.2f of it\n", l.Name, l.Cost.CPU, l.Least, l.Most, l.Cost.Wall, l.Ratio)
	}
	return nil
}

func summarize(name string, own, sharpend []cost) line {
	var cpu, wall, ratio []float64
	for i, c := range own {
		cpu, wall, ratio = append(cpu, c.CPU), append(wall, c.Wall), append(ratio, sharpend[i].CPU/c.CPU)
	}
	return line{name, cost{median(cpu), median(wall)}, slices.Min(cpu), slices.Max(cpu), median(ratio)}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}
