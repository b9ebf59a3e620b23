package main

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"leadstream/daemon/intake"
	"leadstream/sinks/talk"
)

// walk goes over the file before it is decoded: it notes the line of every key, refuses unknown and repeated ones (and
// takes them out), and puts secrets in their places.
func (l *loader) walk(top *yaml.Node) { l.visit(top, reflect.TypeFor[Config](), "") }

// visit checks a node against the type it will be decoded into; t is nil where any shape goes.
func (l *loader) visit(n *yaml.Node, t reflect.Type, path string) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n.Kind {
	case yaml.AliasNode:
		l.visit(n.Alias, t, path)
	case yaml.ScalarNode:
		l.expand(n, path)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			key := fmt.Sprintf("%s[%d]", path, i)
			l.lines[key] = item.Line
			l.visit(item, elem(t, reflect.Slice), key)
		}
	case yaml.MappingNode:
		l.visitBlock(n, t, path)
	}
}

func elem(t reflect.Type, kind reflect.Kind) reflect.Type {
	if t == nil || t.Kind() != kind {
		return nil
	}
	return t.Elem()
}

func (l *loader) visitBlock(n *yaml.Node, t reflect.Type, path string) {
	known := l.fieldsOf(n, t)
	seen := map[string]int{}
	kept := n.Content[:0:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			l.visit(value, t, path)
			kept = append(kept, key, value)
			continue
		}
		full := strings.TrimPrefix(path+"."+key.Value, ".")
		if first, ok := seen[key.Value]; ok {
			l.faults = append(l.faults, Fault{Key: full, Line: key.Line,
				Problem: l.say("the key is already set on line %d", "ключ уже задан в строке %d", first),
				Cure:    l.say("keep one of them", "оставьте один")})
			continue
		}
		seen[key.Value], l.lines[full] = key.Line, key.Line
		next := elem(t, reflect.Map)
		if known != nil {
			field, ok := known[key.Value]
			if !ok {
				l.fault(full, l.say("unknown key", "неизвестный ключ"), l.cureUnknown(key.Value, keysOf(known)))
				continue
			}
			next = field
		}
		l.visit(value, next, full)
		kept = append(kept, key, value)
	}
	n.Content = kept
}

// fieldsOf are the keys that a block may have, with their types; nil where any may stand. A sink's block has those of
// its kind too.
func (l *loader) fieldsOf(n *yaml.Node, t reflect.Type) map[string]reflect.Type {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	fields := map[string]reflect.Type{}
	addFields(fields, t)
	if t == reflect.TypeFor[intake.Config]() {
		for _, top := range []string{"listen", "region", "language", "sources"} {
			delete(fields, top)
		}
	}
	var settings func() any
	switch name := scalarAt(n, "kind"); t {
	case reflect.TypeFor[Sink]():
		settings = kinds[name].Settings
	case reflect.TypeFor[AnswerChannel]():
		settings = talk.Kinds[name].Settings
	default:
		return fields
	}
	if settings == nil {
		return nil // the kind is the fault; its keys cannot be known
	}
	addFields(fields, reflect.TypeOf(settings()).Elem())
	return fields
}

func addFields(fields map[string]reflect.Type, t reflect.Type) {
	for f := range t.Fields() {
		name, option, _ := strings.Cut(f.Tag.Get("koanf"), ",")
		switch {
		case option == "squash":
			addFields(fields, f.Type)
		case name != "" && name != "-":
			fields[name] = f.Type
		}
	}
}

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}
