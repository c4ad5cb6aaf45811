package engines

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func manifest(t testing.TB) *Manifest {
	t.Helper()
	in := example()
	key, err := in.Key()
	if err != nil {
		t.Fatal(err)
	}
	return &Manifest{
		Key: key, Inputs: in, About: About{Name: "predictor-s", Path: "/models/predictor-s.onnx", ModelBytes: 1000, Program: "v1"},
		Built: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Seconds: 384,
		Files: []File{{"a.engine", 7, strings.Repeat("0", 64)}, {"b.profile", 0, strings.Repeat("f", 64)}},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	m := manifest(t)
	text, err := m.text()
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m, again) {
		t.Errorf("expected %+v, found %+v", m, again)
	}
	for _, want := range []string{`"tensorrt": "10.3.0.26"`, `"multiprocessors": 14`, `"trt_fp16_enable": "1"`, `"name": "predictor-s"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("a person finds no %s in %s", want, text)
		}
	}
}

func TestWrongManifests(t *testing.T) {
	good, err := manifest(t).text()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, fresh, want string }{
		{`"seconds": 384`, `"seconds": -1`, "a build of -1 seconds"},
		{`"seconds": 384`, `"second": 384`, `unknown field "second"`},
		{"a.engine", "../a.engine", `"../a.engine" is no name`},
		{"a.engine", ".a", `".a" is no name`},
		{"a.engine", "", `"" is no name`},
		{"a.engine", "..", `".." is no name`},
		{"a.engine", "manifest.json", `"manifest.json" is no name`},
		{"a.engine", "b.profile", `"b.profile" is out of order`},
		{"a.engine", "c.engine", `"b.profile" is out of order`},
		{`"size": 7`, `"size": -7`, "has -7 bytes"},
		{`"size": 7`, `"size": 7.5`, "cannot unmarshal"},
		{strings.Repeat("f", 64), strings.Repeat("F", 64), "is no SHA-256"},
		{strings.Repeat("f", 64), strings.Repeat("f", 62), "is no SHA-256"},
		{`"gpu": "Orin"`, `"gpu": ""`, "GPU is not known"},
		{`"gpu": "Orin"`, `"gpu": "Thor"`, "what it lists gives"},
		{"\n}\n", "\n}{}\n", "something follows its end"},
	} {
		_, err := parseManifest([]byte(strings.Replace(string(good), c.old, c.fresh, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s -> %s: expected %q, found %v", c.old, c.fresh, c.want, err)
		}
	}
}

// Whatever the bytes: no panic, and what is accepted can be written and read again.
func FuzzManifest(f *testing.F) {
	good, err := manifest(f).text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"files":[{"name":"..","size":-1}]}`))
	f.Add([]byte(`{"seconds":1e999}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if strings.ContainsAny(file.Name, "/\x00") || file.Name == ".." {
				t.Errorf("accepted the file %q", file.Name)
			}
		}
		text, err := m.text()
		if err != nil {
			t.Fatalf("accepted, but not written: %v", err)
		}
		if again, err := parseManifest(text); err != nil || again.Key != m.Key {
			t.Errorf("written, but not read: %v", err)
		}
	})
}
