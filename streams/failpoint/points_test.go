package failpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every moment is in the list, once, and has a sentence.
func TestPoints(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "points.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Point" {
			return true
		}
		declared++
		name := spec.Names[0].Name
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(spec.Doc.Text(), name+": ") {
			t.Errorf("%s has no sentence", name)
		}
		if n := len(slices.DeleteFunc(slices.Clone(Points), func(p Point) bool { return p != Point(value) })); n != 1 {
			t.Errorf("%s (%s) is %d times in Points, want once", name, value, n)
		}
		return true
	})
	if declared != len(Points) || declared < 40 {
		t.Errorf("%d points are declared, %d listed; want the same, and 40 at least", declared, len(Points))
	}
}
