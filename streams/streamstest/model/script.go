package model

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"

	golua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// script is a Lua program that was loaded.
type script struct {
	sha       string
	proto     *golua.FunctionProto
	allowFull bool
	shebang   bool
}

// compiled keeps programs by text: a simulation loads the same few thousands of times.
var compiled sync.Map

func compile(text string) (*script, any) {
	if c, ok := compiled.Load(text); ok {
		return c.(*script), nil
	}
	sum := sha1.Sum([]byte(text))
	c := &script{sha: hex.EncodeToString(sum[:])}
	body := text
	if strings.HasPrefix(text, "#!") {
		line, rest, _ := strings.Cut(text, "\n")
		switch line {
		case "#!lua flags=allow-oom":
			c.allowFull = true
		case "#!lua":
		default:
			return nil, notModelled("script", line)
		}
		c.shebang, body = true, "\n"+rest
	}
	chunk, err := parse.Parse(strings.NewReader(body), "user_script")
	if err == nil {
		c.proto, err = golua.Compile(chunk, "user_script")
	}
	if err != nil {
		return nil, fault("ERR Error compiling script: " + err.Error())
	}
	compiled.Store(text, c)
	return c, nil
}

func (s *Server) script(a []string) any {
	if len(a) != 2 || !strings.EqualFold(a[0], "LOAD") {
		return notModelled("SCRIPT", strings.Join(a, " "))
	}
	c, err := compile(a[1])
	if err != nil {
		return err
	}
	s.scripts[c.sha] = c
	return c.sha
}

// FlushScripts makes the server forget all scripts.
func (s *Server) FlushScripts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.scripts)
}

func (s *Server) eval(a []string) any {
	c, err := compile(a[0])
	if err != nil {
		return err
	}
	s.scripts[c.sha] = c
	return s.run(c, a[1:])
}

func (s *Server) evalsha(a []string) any {
	c := s.scripts[strings.ToLower(a[0])]
	if c == nil {
		return errNoScript
	}
	return s.run(c, a[1:])
}

func (s *Server) run(c *script, a []string) any {
	n, err := strconv.Atoi(a[0])
	if err != nil || n < 0 || n > len(a)-1 {
		return fault("ERR Number of keys can't be greater than number of args")
	}
	if s.full && c.shebang && !c.allowFull {
		return errFull
	}
	l := luas.Get().(*lua)
	defer luas.Put(l)
	return l.run(s, c, a[1:1+n], a[1+n:])
}

var luas = sync.Pool{New: func() any { return newLua() }}

// lua is an interpreter with the functions that Redis gives to scripts.
type lua struct {
	state  *golua.LState
	server *Server
	free   bool // the script may add though memory is used up
}

func newLua() *lua {
	l := &lua{state: golua.NewState(golua.Options{SkipOpenLibs: true})}
	for _, open := range []golua.LGFunction{golua.OpenBase, golua.OpenTable, golua.OpenString, golua.OpenMath} {
		l.state.Push(l.state.NewFunction(open))
		l.state.Call(0, 0)
	}
	t := l.state.NewTable()
	l.state.SetFuncs(t, map[string]golua.LGFunction{
		"call":         func(*golua.LState) int { return l.call(true) },
		"pcall":        func(*golua.LState) int { return l.call(false) },
		"error_reply":  func(ls *golua.LState) int { return single(ls, "err") },
		"status_reply": func(ls *golua.LState) int { return single(ls, "ok") },
	})
	l.state.SetGlobal("redis", t)
	return l
}

func single(ls *golua.LState, field string) int {
	text := ls.CheckString(1)
	if field == "err" {
		if cut, ok := strings.CutPrefix(text, "-"); ok {
			text = cut
		}
		text = strings.Trim(text, "\r\n")
	}
	t := ls.NewTable()
	t.RawSetString(field, golua.LString(text))
	ls.Push(t)
	return 1
}

func (l *lua) run(s *Server, c *script, keys, args []string) any {
	l.server, l.free = s, c.allowFull
	defer func() { l.server = nil }()
	l.state.SetGlobal("KEYS", l.list(keys))
	l.state.SetGlobal("ARGV", l.list(args))
	l.state.Push(l.state.NewFunctionFromProto(c.proto))
	if err := l.state.PCall(0, 1, nil); err != nil {
		l.state.SetTop(0)
		return l.raised(err)
	}
	v := l.state.Get(-1)
	l.state.SetTop(0)
	return fromLua(v)
}

func (l *lua) raised(err error) any {
	if e, ok := err.(*golua.ApiError); ok {
		if t, ok := e.Object.(*golua.LTable); ok {
			if text, ok := t.RawGetString("err").(golua.LString); ok {
				return fault(text)
			}
		}
	}
	return fault("ERR " + err.Error())
}

func (l *lua) list(words []string) *golua.LTable {
	t := l.state.CreateTable(len(words), 0)
	for _, w := range words {
		t.Append(golua.LString(w))
	}
	return t
}

// call runs a command for a script. Until it has written something, a full server refuses it what grows.
func (l *lua) call(raise bool) int {
	ls, s := l.state, l.server
	args := make([]string, ls.GetTop())
	for i := range args {
		switch v := ls.Get(i + 1).(type) {
		case golua.LString:
			args[i] = string(v)
		case golua.LNumber:
			args[i] = strconv.FormatFloat(float64(v), 'g', 17, 64)
		default:
			return l.answer(fault("ERR Lua redis lib command arguments must be strings or integers"), raise)
		}
	}
	full := s.full
	if l.free {
		s.full = false
	}
	reply := s.execute(args)
	s.full = full
	if reply != any(errFull) && commands[strings.ToUpper(args[0])].write {
		l.free = true
	}
	return l.answer(reply, raise)
}

func (l *lua) answer(reply any, raise bool) int {
	v := l.toLua(reply)
	if _, bad := reply.(fault); bad && raise {
		l.state.Error(v, 1)
	}
	l.state.Push(v)
	return 1
}

func (l *lua) toLua(reply any) golua.LValue {
	switch r := reply.(type) {
	case nil:
		return golua.LFalse
	case int64:
		return golua.LNumber(r)
	case string:
		return golua.LString(r)
	case float64:
		return golua.LString(formatScore(r))
	case status:
		return l.field("ok", string(r))
	case fault:
		return l.field("err", string(r))
	case []any:
		return l.table(r)
	case pairs:
		return l.table(r)
	}
	panic(fmt.Sprintf("model: a script cannot have a %T", reply))
}

func (l *lua) field(name, text string) golua.LValue {
	t := l.state.NewTable()
	t.RawSetString(name, golua.LString(text))
	return t
}

func (l *lua) table(list []any) golua.LValue {
	t := l.state.CreateTable(len(list), 0)
	for _, v := range list {
		t.Append(l.toLua(v))
	}
	return t
}

func fromLua(v golua.LValue) any {
	switch v := v.(type) {
	case golua.LString:
		return string(v)
	case golua.LNumber:
		return int64(v)
	case golua.LBool:
		if v {
			return int64(1)
		}
		return nil
	case *golua.LTable:
		if text, ok := v.RawGetString("err").(golua.LString); ok {
			return fault(text)
		}
		if text, ok := v.RawGetString("ok").(golua.LString); ok {
			return status(text)
		}
		list := []any{}
		for i := 1; ; i++ {
			item := v.RawGetInt(i)
			if item == golua.LNil {
				return list
			}
			list = append(list, fromLua(item))
		}
	}
	return nil
}
