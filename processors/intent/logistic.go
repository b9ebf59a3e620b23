package intent

import (
	"math"
	"math/rand/v2"
)

// vector is the features of a text, and what each counts. A text has a few hundred of them.
type vector struct {
	at    []int32
	value []float32
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

var usual = training{epochs: 5, step: 2, decay: 3e-5}

// fit learns from the rows of x whose place is in rows.
func (t training) fit(x []vector, y []int, rows []int, features int) *regression {
	r := &regression{weights: make([][classes]float32, features)}
	random := rand.New(rand.NewPCG(1, 2))
	order := append([]int(nil), rows...)
	scale, n := 1.0, 0.0 // weights are kept divided by scale, so that decay costs one multiplication
	for range t.epochs {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			step := t.step / (1 + n*t.step/float64(2*len(order)))
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
	for n, f := range x.at {
		w, v := &r.weights[f], step*x.value[n]
		for k := range w {
			w[k] -= v * gradient[k]
		}
	}
	for k := range r.bias {
		r.bias[k] -= 0.1 * biasStep * gradient[k]
	}
}

func (r *regression) predict(x vector) [classes]float32 { return r.probabilities(x, 1) }

func (r *regression) probabilities(x vector, scale float32) [classes]float32 {
	var p [classes]float32
	for n, f := range x.at {
		w, v := &r.weights[f], x.value[n]
		for k := range w {
			p[k] += v * w[k]
		}
	}
	top := float32(math.Inf(-1))
	for k := range p {
		p[k] = p[k]*scale + r.bias[k]
		top = max(top, p[k])
	}
	var sum float32
	for k := range p {
		p[k] = float32(math.Exp(float64(p[k] - top)))
		sum += p[k]
	}
	for k := range p {
		p[k] /= sum
	}
	return p
}
