package intake

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"runtime"
	gauge "runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"time"
)

// malformed is a request that cannot be a lead.
type malformed struct{ name, body, contentType, encoding string }

// malformedRequests makes n requests, the same at each run.
func malformedRequests(n int) []malformed {
	r := rand.New(rand.NewPCG(1, 2))
	lead := func() string {
		return fmt.Sprintf(`{"name":"Ольга %d","phone":"+7999000%04d","email":"a%d@example.test","message":%q}`,
			r.IntN(1000), r.IntN(10000), r.IntN(1000), strings.Repeat("хочу записаться ", r.IntN(30)))
	}
	const object, form = "application/json", "application/x-www-form-urlencoded"
	bombs := []string{zipped(strings.Repeat(" ", 1<<20)), zipped(strings.Repeat(" ", 9<<20)), zipped(strings.Repeat(lead(), 40<<10))}
	kinds := []func() malformed{
		func() malformed { s := lead(); return malformed{"truncated", s[:1+r.IntN(len(s)-1)], object, ""} },
		func() malformed {
			return malformed{"trailing text", lead() + []string{"}", "]", ",", "x", `"`}[r.IntN(5)], object, ""}
		},
		func() malformed {
			return malformed{"not an object", []string{"1", "true", "null", `"x"`, "-", "1e999", "[1,2]", "[null]", "[[]]", "{}{"}[r.IntN(10)], object, ""}
		},
		func() malformed {
			d := 65 + r.IntN(20000)
			return malformed{"deep", `{"a":` + strings.Repeat([]string{"[", `{"a":`}[r.IntN(2)], d), object, ""}
		},
		func() malformed {
			d := 100 + r.IntN(5000)
			return malformed{"deep and closed", `{"a":` + strings.Repeat("[", d) + strings.Repeat("]", d) + "}", object, ""}
		},
		func() malformed { return malformed{"NUL", strings.Replace(lead(), "О", `\u0000`, 1), object, ""} },
		func() malformed { return malformed{"raw NUL", strings.Replace(lead(), "О", "\x00", 1), object, ""} },
		func() malformed { return malformed{"NUL in a form", "name=a%00b&n=" + fmt.Sprint(r.Int()), form, ""} },
		func() malformed {
			return malformed{"unpaired quotes", strings.Replace(lead(), `":"`, `":`, 1+r.IntN(3)), object, ""}
		},
		func() malformed {
			return malformed{"broken number", fmt.Sprintf(`{"phone":%s}`, []string{"+7999", "0123", "1.", ".5", "1e", "0x1F", "NaN", "Infinity", "--1"}[r.IntN(9)]), object, ""}
		},
		func() malformed {
			return malformed{"too many members", `{` + strings.Repeat(`"k":1,`, 2100+r.IntN(10000)) + `"z":1}`, object, ""}
		},
		func() malformed {
			return malformed{"too many items", `[` + strings.Repeat(`{},`, 3000+r.IntN(60000)) + `{}]`, object, ""}
		},
		func() malformed {
			return malformed{"too many fields", strings.Repeat("a=1&", 2100+r.IntN(20000)), form, ""}
		},
		func() malformed {
			return malformed{"too large", `{"message":"` + strings.Repeat("x", 257<<10+r.IntN(1<<20)) + `"}`, object, ""}
		},
		func() malformed {
			return malformed{"empty", strings.Repeat([]string{"", " ", "\n", "\ufeff"}[r.IntN(4)], r.IntN(2)), object, ""}
		},
		func() malformed {
			return malformed{"multipart broken off", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + strings.Repeat("x", r.IntN(900)), "multipart/form-data; boundary=b", ""}
		},
		func() malformed { return malformed{"multipart without a boundary", lead(), "multipart/form-data", ""} },
		func() malformed {
			return malformed{"multipart of another boundary", "--c\r\n\r\nx\r\n--c--", "multipart/form-data; boundary=b", ""}
		},
		func() malformed { return malformed{"no gzip", lead(), object, "gzip"} },
		func() malformed {
			s := zipped(lead())
			return malformed{"gzip broken off", s[:r.IntN(len(s)-8)], object, "gzip"}
		},
		func() malformed {
			s := []byte(zipped(lead()))
			s[len(s)-1-r.IntN(8)] ^= 1 << r.IntN(8)
			return malformed{"gzip of another sum", string(s), object, "gzip"}
		},
		func() malformed { return malformed{"gzip bomb", bombs[r.IntN(len(bombs))], object, "gzip"} },
		func() malformed {
			return malformed{"unknown encoding", lead(), object, []string{"br", "deflate", "zstd", "compress", "x"}[r.IntN(5)]}
		},
		func() malformed {
			return malformed{"unknown type", strings.Repeat("<lead/>", 1+r.IntN(50)), []string{"text/xml", "image/png", "application/pdf", ""}[r.IntN(4)], ""}
		},
	}
	all := make([]malformed, n)
	for i := range all {
		all[i] = kinds[i%len(kinds)]()
	}
	return all
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

// allocated is how many bytes were allocated since the start. It does not stop the world, as runtime.ReadMemStats does.
func allocated() uint64 {
	sample := []gauge.Sample{{Name: "/gc/heap/allocs:bytes"}}
	gauge.Read(sample)
	return sample[0].Value.Uint64()
}

// busy is the processor's time that this thread has taken: others may use the machine meanwhile.
func busy() time.Duration {
	const thisThread = 1
	var u syscall.Rusage
	if err := syscall.Getrusage(thisThread, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestMalformedRequests: none of 5,000 requests that cannot be leads is taken, each is answered 4xx, and costs less than
// 50 ms of the processor and 8 MiB. The least of three tries counts: a collection of garbage may fall into one.
func TestMalformedRequests(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := &memory{}
	h := newHandler(t, testConfig(), m)
	var slowest time.Duration
	var largest uint64
	var slow, large string
	for i, q := range malformedRequests(5000) {
		took, used := time.Hour, uint64(1<<62)
		for try := 0; try == 0 || try < 3 && (took > 50*time.Millisecond || used > 8<<20); try++ {
			m.taken, m.quarantined = nil, nil
			before := allocated()
			began := busy()
			w := send(h, "/in/api", q.body, "Content-Type", q.contentType, "Content-Encoding", q.encoding, "X-Api-Key", testKey+"api")
			took = min(took, busy()-began)
			used = min(used, allocated()-before)
			if w.Code < 400 || w.Code > 499 || len(m.taken) > 0 {
				t.Fatalf("%d, %s: %d %s, %d taken\n%.300q", i, q.name, w.Code, w.Body, len(m.taken), q.body)
			}
		}
		if took > slowest {
			slowest, slow = took, q.name
		}
		if used > largest {
			largest, large = used, q.name
		}
	}
	t.Logf("slowest %s (%s), largest %d KiB (%s)", slowest, slow, largest>>10, large)
	if slowest > 50*time.Millisecond || largest > 8<<20 {
		t.Errorf("slowest %s (%s), largest %d KiB (%s)", slowest, slow, largest>>10, large)
	}
}
