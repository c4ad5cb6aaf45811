package board

import (
	"bytes"
	"strconv"
)

// memory fills in memory and swap; see proc(5), meminfo.
func (t *tree) memory(to *Telemetry) {
	info := t.bytes("proc/meminfo") // what is wanted stands in its first kilobyte
	to.MemoryTotal, to.MemoryUsed = usage(info, "MemTotal:", "MemAvailable:")
	to.SwapTotal, to.SwapUsed = usage(info, "SwapTotal:", "SwapFree:")
}

// usage returns a total and what of it is not free, in bytes; nil for what does not fit together.
func usage(info []byte, total, free string) (all, used *uint64) {
	n, ok := kilobytes(info, total)
	if !ok {
		return nil, nil
	}
	all = bytesOf(n)
	if f, ok := kilobytes(info, free); ok && f <= n {
		used = bytesOf(n - f)
	}
	return all, used
}

func bytesOf(kilobytes uint64) *uint64 {
	n := kilobytes << 10
	return &n
}

// kilobytes finds the line that starts with key; the file counts in kB.
func kilobytes(info []byte, key string) (uint64, bool) {
	i := bytes.Index(info, []byte(key))
	if i < 0 || i > 0 && info[i-1] != '\n' {
		return 0, false
	}
	line, _, _ := bytes.Cut(info[i+len(key):], []byte{'\n'})
	text, ok := bytes.CutSuffix(bytes.TrimSpace(line), []byte(" kB"))
	n, err := strconv.ParseUint(string(text), 10, 53)
	return n, ok && err == nil
}
