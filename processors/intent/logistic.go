package intent

import (
	"math"
	"math/rand/v2"
)

// vector is the features of a text, and what each counts. A text has a few hundred of them.
type vector struct {
	at    []int32
	value []float32
	end   [blocks]int // of each block
	known float32     // the share of its runs of letters that stand in examples
}

func (x vector) part(from, to int) vector { return vector{at: x.at[from:to], value: x.value[from:to]} }

// spelling and meaning are the two ways of looking at a text.
func (x vector) spelling() vector { return x.part(0, x.end[wordBlock]) }
func (x vector) meaning() vector  { return x.part(x.end[letterBlock], len(x.at)) }

// opinions are two regressions that have learnt apart: one of letters and words, the other of words and concepts. Each is
// sure of much that is wrong, but seldom of the same: their mean is right more often than one regression of everything,
// and it knows better when it is not.
type opinions struct{ spelling, meaning *regression }

// bySpelling is the share of the first opinion. Concepts were collected by looking at the examples, so that on them the
// second does better than on what others write.
const bySpelling = 2.0 / 3

// learn fits the opinions to the rows of x whose place is in rows.
func learn(x []vector, y []int, rows []int, features int) opinions {
	parts := make([]vector, len(x))
	fit := func(part func(vector) vector) *regression {
		for _, i := range rows {
			parts[i] = part(x[i])
		}
		return usual.fit(parts, y, rows, features)
	}
	return opinions{fit(vector.spelling), fit(vector.meaning)}
}

func (o *opinions) predict(x vector) (p [classes]float32, agree bool) {
	a, b := o.spelling.predict(x.spelling()), o.meaning.predict(x.meaning())
	for k := range p {
		p[k] = bySpelling*a[k] + (1-bySpelling)*b[k]
	}
	return p, largest(&a) == largest(&b)
}

// regression is multinomial logistic regression: a weight for each feature and class, and a bias for each class.
type regression struct {
	weights [][classes]float32
	bias    [classes]float32
}

// training is how a regression learns: plain stochastic gradient descent with L2 decay. Its step shrinks with time; the
// order of the examples is shuffled by a fixed seed, so that the same examples always give the same model.
type training struct {
	epochs int
	step   float64 // the first one
	decay  float64
}

var usual = training{epochs: 3, step: 2, decay: 1e-5}

// fit learns from the rows of x whose place is in rows.
func (t training) fit(x []vector, y []int, rows []int, features int) *regression {
	r := &regression{weights: make([][classes]float32, features)}
	random := rand.New(rand.NewPCG(1, 2))
	order := append([]int(nil), rows...)
	scale, n := 1.0, 0.0 // weights are kept divided by scale, so that decay costs one multiplication
	for range t.epochs {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			step := t.step / (1 + n*t.step/float64(4*len(order)))
			n++
			p := r.probabilities(x[i], float32(scale))
			p[y[i]]--
			scale *= 1 - step*t.decay
			r.move(x[i], &p, float32(step/scale), float32(step))
		}
	}
	for f := range r.weights {
		for k := range r.weights[f] {
			r.weights[f][k] *= float32(scale)
		}
	}
	return r
}

// move goes a step down the gradient.
func (r *regression) move(x vector, gradient *[classes]float32, step, biasStep float32) {
	a, b, c, d, e, f := gradient[0], gradient[1], gradient[2], gradient[3], gradient[4], gradient[5]
	g, h, i, j, k, l := gradient[6], gradient[7], gradient[8], gradient[9], gradient[10], gradient[11]
	values := x.value[:len(x.at)]
	for n, at := range x.at { // written out as in sums
		w, v := &r.weights[at], step*values[n]
		w[0] -= v * a
		w[1] -= v * b
		w[2] -= v * c
		w[3] -= v * d
		w[4] -= v * e
		w[5] -= v * f
		w[6] -= v * g
		w[7] -= v * h
		w[8] -= v * i
		w[9] -= v * j
		w[10] -= v * k
		w[11] -= v * l
	}
	for k := range r.bias {
		r.bias[k] -= 0.1 * biasStep * gradient[k]
	}
}

func (r *regression) predict(x vector) [classes]float32 { return r.probabilities(x, 1) }

// tiny is the logarithm of a probability that is as good as none; most are, and need not be worked out.
const tiny = -10

func (r *regression) probabilities(x vector, scale float32) [classes]float32 {
	p := r.sums(x)
	top := float32(math.Inf(-1))
	for k := range p {
		p[k] = p[k]*scale + r.bias[k]
		top = max(top, p[k])
	}
	var sum float32
	for k := range p {
		if p[k] -= top; p[k] < tiny {
			p[k] = 0
			continue
		}
		p[k] = float32(math.Exp(float64(p[k])))
		sum += p[k]
	}
	for k := range p {
		p[k] /= sum
	}
	return p
}

// sums adds up the weights of the features. Written out, the twelve sums stay in registers; a loop over an array takes
// twice as long, and nearly all time of learning and reading is spent here.
func (r *regression) sums(x vector) [classes]float32 {
	var a, b, c, d, e, f, g, h, i, j, k, l float32
	values := x.value[:len(x.at)]
	for n, at := range x.at {
		w, v := &r.weights[at], values[n]
		a += v * w[0]
		b += v * w[1]
		c += v * w[2]
		d += v * w[3]
		e += v * w[4]
		f += v * w[5]
		g += v * w[6]
		h += v * w[7]
		i += v * w[8]
		j += v * w[9]
		k += v * w[10]
		l += v * w[11]
	}
	return [classes]float32{a, b, c, d, e, f, g, h, i, j, k, l}
}
