package infer

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed is all that this package may use: no file, network, device, cgo, clock
// or randomness without a seed. For packages that hold both sides, the names.
var allowed = map[string][]string{
	"cmp": nil, "errors": nil, "fmt": nil, "image": nil, "math": nil, "strconv": nil, "strings": nil,
	"math/rand/v2": {"New", "NewPCG", "PCG", "Rand"},
	"time":         {"Duration", "ParseDuration", "Second", "Time"},
}

func TestPackageIsPure(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") {
			if !e.IsDir() {
				t.Errorf("%s: neither Go nor a folder", name)
			}
			continue
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range impurities(name, source) {
			t.Error(fault)
		}
		read++
	}
	if read < 8 {
		t.Errorf("only %d sources found", read)
	}
}

// impurities names every line of a source that breaks the package's promise.
func impurities(name string, source []byte) (faults []string) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.ParseComments)
	if err != nil {
		return []string{err.Error()}
	}
	say := func(at token.Pos, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s: %s", files.Position(at), fmt.Sprintf(format, args...)))
	}
	names := map[string][]string{} // of packages that are allowed in part
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		some, ok := allowed[path]
		switch {
		case !ok:
			say(spec.Pos(), "imports %s", path)
		case spec.Name != nil:
			say(spec.Pos(), "imports %s by another name", path)
		case path == "math/rand/v2":
			names["rand"] = some
		case some != nil:
			names[path] = some
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say(n.Pos(), "starts a goroutine")
		case *ast.ChanType:
			say(n.Pos(), "uses a channel")
		case *ast.SelectorExpr:
			of, ok := n.X.(*ast.Ident)
			if some := names[identName(of, ok)]; some != nil && !slices.Contains(some, n.Sel.Name) {
				say(n.Pos(), "uses %s.%s", of.Name, n.Sel.Name)
			}
		}
		return true
	})
	for _, group := range file.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:") {
				say(c.Pos(), "has the directive %s", c.Text)
			}
		}
	}
	return faults
}

func identName(i *ast.Ident, ok bool) string {
	if !ok {
		return ""
	}
	return i.Name
}

// The test above can fail.
func TestImpuritiesAreFound(t *testing.T) {
	const source = `package infer
import "C"
import "net/http"
import "os"
import "time"
import clock "time"
import "math/rand/v2"
//go:linkname now time.now
func f() { go f() }
var a = time.Now()
var b = rand.Uint64()
var c = time.Sleep
var d chan int
var fine = time.Second
`
	got := strings.Join(impurities("x.go", []byte(source)), "\n")
	for _, want := range []string{
		"x.go:2:8: imports C", "x.go:3:8: imports net/http", "x.go:4:8: imports os", "x.go:6:8: imports time by another name",
		"x.go:8:1: has the directive", "x.go:9:12: starts a goroutine", "x.go:10:9: uses time.Now", "x.go:11:9: uses rand.Uint64",
		"x.go:12:9: uses time.Sleep", "x.go:13:7: uses a channel",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 10 {
		t.Errorf("%d faults, want 10:\n%s", n, got)
	}
}
