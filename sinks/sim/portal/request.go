package portal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxBody  = 64 << 20 // files come in Base64
	maxDepth = 100
)

// object is decoded input whose keys keep the order they came in, as in PHP: a batch runs its commands in that order.
type object struct {
	keys []string
	m    map[string]any
}

func newObject() *object { return &object{m: map[string]any{}} }

func (o *object) set(k string, v any) {
	if _, ok := o.m[k]; !ok {
		o.keys = append(o.keys, k)
	}
	o.m[k] = v
}

// get is nil for a nil object too.
func (o *object) get(k string) any {
	if o == nil {
		return nil
	}
	return o.m[k]
}

// fold finds a key whatever its case is: the old methods do not mind it.
func (o *object) fold(k string) any {
	if o == nil {
		return nil
	}
	for _, key := range o.keys {
		if strings.EqualFold(key, k) {
			return o.m[key]
		}
	}
	return nil
}

// plain turns objects back into maps, for the ledger.
func plain(v any) any {
	switch v := v.(type) {
	case *object:
		m := make(map[string]any, len(v.keys))
		for k, e := range v.m {
			m[k] = plain(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = plain(e)
		}
		return l
	}
	return v
}

// arguments reads the query and the body: JSON, or a form with PHP's brackets. With an error comes what was read.
func arguments(r *http.Request) (*object, error) {
	args := newObject()
	if err := brackets(args, r.URL.RawQuery); err != nil {
		return args, err
	}
	if r.Method == http.MethodGet {
		return args, nil // PHP does not look at its body
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return args, fmt.Errorf("reading the body: %w", err)
	}
	if len(body) > maxBody {
		return args, fmt.Errorf("body over %d bytes", maxBody)
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return args, nil
	case kind == "application/json":
		return args, readJSON(args, body)
	default:
		return args, brackets(args, string(body))
	}
}

func readJSON(into *object, body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	v, err := decode(dec, 0)
	if err != nil {
		return fmt.Errorf("reading JSON: %w", err)
	}
	o, ok := v.(*object)
	if !ok {
		return nil // PHP finds no parameters in a bare list or scalar
	}
	for _, k := range o.keys {
		into.set(k, o.m[k])
	}
	return nil
}

// decode reads one JSON value, keeping the order of keys.
func decode(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	d, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if d == '[' {
		list := []any{}
		for dec.More() {
			v, err := decode(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	o := newObject()
	for dec.More() {
		k, err := dec.Token()
		if err != nil {
			return nil, err
		}
		v, err := decode(dec, depth+1)
		if err != nil {
			return nil, err
		}
		o.set(k.(string), v)
	}
	_, err = dec.Token()
	return o, err
}

// brackets reads a[b][]=c as PHP does. Objects whose keys are 0, 1, 2… become lists at the end.
func brackets(into *object, query string) error {
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		k, err := url.QueryUnescape(name)
		if err != nil {
			return fmt.Errorf("form: %w", err)
		}
		v, err := url.QueryUnescape(value)
		if err != nil {
			return fmt.Errorf("form: %w", err)
		}
		put(into, k, v)
	}
	for _, k := range into.keys {
		into.m[k] = listed(into.m[k])
	}
	return nil
}

// put sets the value that a bracketed name points to.
func put(o *object, name, value string) {
	head, rest, _ := strings.Cut(name, "[")
	path := []string{head}
	for rest != "" {
		key, after, ok := strings.Cut(rest, "]")
		if !ok {
			break
		}
		if path = append(path, key); len(path) > maxDepth {
			return // PHP drops what is nested too deep
		}
		if rest, ok = strings.CutPrefix(after, "["); !ok {
			break
		}
	}
	for _, key := range path[:len(path)-1] {
		o = child(o, key)
	}
	o.set(next(o, path[len(path)-1]), value)
}

func child(o *object, key string) *object {
	key = next(o, key)
	switch c := o.m[key].(type) {
	case *object:
		return c
	case []any: // a list read from the query, continued in the body
		n := newObject()
		for i, e := range c {
			n.set(strconv.Itoa(i), e)
		}
		o.set(key, n)
		return n
	}
	n := newObject()
	o.set(key, n)
	return n
}

// next is the key that PHP gives to "[]": one more than the number of those there are.
func next(o *object, key string) string {
	if key == "" {
		return strconv.Itoa(len(o.keys))
	}
	return key
}

func listed(v any) any {
	o, ok := v.(*object)
	if !ok {
		return v
	}
	list := make([]any, 0, len(o.keys))
	isList := true
	for i, k := range o.keys {
		o.m[k] = listed(o.m[k])
		isList = isList && k == strconv.Itoa(i)
		list = append(list, o.m[k])
	}
	if isList {
		return list
	}
	return o
}
