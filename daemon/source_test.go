package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestGoStatements holds the promise that the pipeline's concurrency can be
// read in one file.
func TestGoStatements(t *testing.T) {
	set := token.NewFileSet()
	packages, err := parser.ParseDir(set, ".", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for name, file := range packages["main"].Files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				found++
				if name != "pipeline.go" {
					t.Errorf("%s: a go statement outside pipeline.go", set.Position(g.Pos()))
				}
			}
			return true
		})
	}
	if found == 0 {
		t.Error("no go statement found: the test looks in the wrong place")
	}
}
