package main

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"

	"leadstream/processors/slots"
)

// shape is what a value in config.yaml must look like.
type shape int

const (
	aDuration shape = iota
	aWhole
	aNumber
	aYesNo
	aText
	aList
	aBlock
)

// wrongShape is the fault of a value that is not of the shape its key wants. It holds no value: that may be a secret.
type wrongShape struct{ want shape }

func (e wrongShape) Error() string { return fmt.Sprintf("wrong shape, want %d", e.want) }

var durationType = reflect.TypeFor[time.Duration]()

// convert makes a YAML value fit its field, where its meaning is plain, and refuses it where it is not.
func convert(from, to reflect.Value) (any, error) {
	text, isText := from.Interface().(string)
	if isText && to.CanAddr() {
		if u, ok := to.Addr().Interface().(encoding.TextUnmarshaler); ok {
			return to.Interface(), u.UnmarshalText([]byte(text))
		}
	}
	if to.Type() == durationType {
		d, err := parseDuration(text)
		if err != nil {
			return nil, wrongShape{aDuration}
		}
		return d, nil
	}
	switch to.Kind() {
	case reflect.Bool:
		if isText {
			v, err := strconv.ParseBool(text)
			return v, wrongIf(err != nil, aYesNo)
		}
		return from.Interface(), wrongIf(from.Kind() != reflect.Bool, aYesNo)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if isText {
			v, err := strconv.ParseInt(text, 10, 64)
			return v, wrongIf(err != nil, aWhole)
		}
		return from.Interface(), wrongIf(!from.CanInt(), aWhole)
	case reflect.Float32, reflect.Float64:
		if isText {
			v, err := strconv.ParseFloat(text, 64)
			return v, wrongIf(err != nil, aNumber)
		}
		return from.Interface(), wrongIf(!from.CanInt() && !from.CanFloat(), aNumber)
	case reflect.String:
		if from.CanInt() { // an unquoted chat id or phone
			return strconv.FormatInt(from.Int(), 10), nil
		}
		return from.Interface(), wrongIf(!isText, aText)
	case reflect.Slice:
		return convertList(from, to)
	case reflect.Struct, reflect.Map:
		if isText && to.Type() == reflect.TypeFor[Redis]() {
			return map[string]any{"url": text}, nil
		}
		if isText && to.Type() == reflect.TypeFor[slots.Item]() {
			return map[string]any{"name": text}, nil
		}
		return from.Interface(), wrongIf(from.Kind() != reflect.Map && from.Type() != to.Type(), aBlock)
	}
	return from.Interface(), nil
}

func wrongIf(wrong bool, want shape) error {
	if wrong {
		return wrongShape{want}
	}
	return nil
}

// convertList drops the default list: one that is written replaces it. A single text is a list of one.
func convertList(from, to reflect.Value) (any, error) {
	to.SetZero()
	switch {
	case from.Kind() == reflect.Slice:
		return from.Interface(), nil
	case from.Kind() == reflect.String && to.Type().Elem().Kind() == reflect.String:
		return []any{from.Interface()}, nil
	}
	return nil, wrongShape{aList}
}

var longDuration = regexp.MustCompile(`^(\d+)([dw])(.*)$`)

// parseDuration reads what time.ParseDuration does, and days and weeks before that: 7d, 1w, 1d12h.
func parseDuration(s string) (time.Duration, error) {
	m := longDuration.FindStringSubmatch(s)
	if m == nil {
		return time.ParseDuration(s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > 10_000 {
		return 0, fmt.Errorf("duration %q is out of bounds", s)
	}
	d := time.Duration(n) * 24 * time.Hour
	if m[2] == "w" {
		d *= 7
	}
	if m[3] == "" {
		return d, nil
	}
	rest, err := parseDuration(m[3])
	return d + rest, err
}

// explain puts a decoder's error in the operator's words.
func (l *loader) explain(err *mapstructure.DecodeError) (problem, cure string) {
	var shape wrongShape
	if !errors.As(err, &shape) {
		return strings.TrimSpace(err.Unwrap().Error()), l.say("see config.yaml's comment at this key", "см. пояснение к ключу в config.yaml")
	}
	switch shape.want {
	case aDuration:
		return l.say("must be a duration", "должна быть длительность"),
			l.say("write a number and its unit: 30s, 10m, 2h, 7d", "напишите число и единицу: 30s, 10m, 2h, 7d")
	case aWhole:
		return l.say("must be a whole number", "должно быть целое число"), l.say("write digits, like 5", "напишите цифрами, например 5")
	case aNumber:
		return l.say("must be a number", "должно быть число"), l.say("write it like 2 or 0.5", "напишите как 2 или 0.5")
	case aYesNo:
		return l.say("must be true or false", "должно быть true или false"), l.say("write true or false", "напишите true или false")
	case aText:
		return l.say("must be a text", "должен быть текст"), l.say("put it in quotes", "возьмите его в кавычки")
	case aList:
		return l.say("must be a list", "должен быть список"), l.say("write it as [a, b]", "напишите как [a, b]")
	}
	return l.say("must be a block of keys", "должен быть блок ключей"),
		l.say("write its keys on the lines below, indented", "напишите его ключи на следующих строках с отступом")
}
