package model

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

var errProtocol = errors.New("model: not a command in RESP")

// readCommands takes the whole commands off the front of b.
func readCommands(b []byte) (commands [][]string, rest []byte, err error) {
	for len(b) > 0 {
		words, tail, err := readCommand(b)
		if err != nil {
			return nil, nil, err
		}
		if words == nil {
			break
		}
		commands, b = append(commands, words), tail
	}
	return commands, b, nil
}

// readCommand answers nil while the command is not whole.
func readCommand(b []byte) (words []string, rest []byte, err error) {
	n, b, ok, err := readSize(b, '*')
	if err != nil || !ok {
		return nil, nil, err
	}
	words = make([]string, n)
	for i := range words {
		var size int
		if size, b, ok, err = readSize(b, '$'); err != nil || !ok || len(b) < size+2 {
			return nil, nil, err
		}
		words[i], b = string(b[:size]), b[size+2:]
	}
	return words, b, nil
}

func readSize(b []byte, kind byte) (n int, rest []byte, ok bool, err error) {
	line, rest, found := bytes.Cut(b, []byte("\r\n"))
	if !found {
		return 0, nil, false, nil
	}
	if len(line) < 2 || line[0] != kind {
		return 0, nil, false, errProtocol
	}
	n, err = strconv.Atoi(string(line[1:]))
	if err != nil || n < 0 {
		return 0, nil, false, errProtocol
	}
	return n, rest, true, nil
}

// appendReply encodes a reply in RESP3.
func appendReply(b []byte, reply any) []byte {
	switch r := reply.(type) {
	case nil:
		return append(b, "_\r\n"...)
	case int64:
		return append(strconv.AppendInt(append(b, ':'), r, 10), "\r\n"...)
	case float64:
		if math.IsInf(r, 0) {
			return append(b, fmt.Sprintf(",%sinf\r\n", map[bool]string{true: "-"}[r < 0])...)
		}
		return append(b, fmt.Sprintf(",%s\r\n", formatScore(r))...)
	case string:
		b = append(strconv.AppendInt(append(b, '$'), int64(len(r)), 10), "\r\n"...)
		return append(append(b, r...), "\r\n"...)
	case status:
		return append(append(append(b, '+'), r...), "\r\n"...)
	case fault:
		return append(append(append(b, '-'), r...), "\r\n"...)
	case []any:
		return appendAll(b, '*', len(r), r)
	case pairs:
		return appendAll(b, '%', len(r)/2, r)
	}
	panic(fmt.Sprintf("model: no encoding for a %T", reply))
}

func appendAll(b []byte, kind byte, n int, list []any) []byte {
	b = append(strconv.AppendInt(append(b, kind), int64(n), 10), "\r\n"...)
	for _, v := range list {
		b = appendReply(b, v)
	}
	return b
}
