package tensorrt

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// docs/tensorrt.md has one row for each key and each tolerance, and no other.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile("../docs/tensorrt.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| `tensorrt.") || strings.HasPrefix(line, "| `cuda.") || strings.HasPrefix(line, "| `fp") ||
			strings.HasPrefix(line, "| `bf") || strings.HasPrefix(line, "| `int") {
			rows[line] = true
		}
	}
	for _, want := range wantedRows() {
		if !rows[want] {
			t.Errorf("docs/tensorrt.md lacks the row\n%s", want)
		}
		delete(rows, want)
	}
	for row := range rows {
		t.Errorf("docs/tensorrt.md has a row that is no key's:\n%s", row)
	}
}

func wantedRows() (rows []string) {
	for _, o := range Options() {
		sets := "-"
		if len(o.Sets) > 0 {
			sets = "`" + strings.Join(o.Sets, "`, `") + "`"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", o.Key, defaultOf(o.Key), o.Meaning, sets))
	}
	for _, p := range precisions {
		t := Tolerances[p]
		rows = append(rows, fmt.Sprintf("| `%s` | %g | %g | %g |", p, t.Max, t.Mean, t.RMS))
	}
	return rows
}

func defaultOf(key string) string {
	config := Default()
	section, name, _ := strings.Cut(key, ".")
	value := reflect.ValueOf(config.CUDA)
	if section == TensorRT {
		value = reflect.ValueOf(config.TensorRT)
	}
	for i := range value.NumField() {
		if value.Type().Field(i).Tag.Get("yaml") == name {
			if text := fmt.Sprint(value.Field(i).Interface()); text != "" {
				return text
			}
			return "none"
		}
	}
	return "?"
}
