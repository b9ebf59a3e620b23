package intent

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
)

// Examination is what a model was found to be worth. It takes most of the time of a training, and of the same model it
// always says the same: whoever keeps it spares the next start that time.
type Examination struct {
	Of    string    `json:"of"` // the model
	Trust []float64 `json:"trust"`
	Limit float64   `json:"limit"`
	Check Check     `json:"check"`
}

// examiner tells one way of examining from the next: raise it whenever traits, trust or limits are found otherwise.
const examiner = 1

// Examination is the model's own.
func (m *Model) Examination() Examination {
	return Examination{Of: m.digest, Trust: m.trust[:], Limit: m.limit, Check: m.check}
}

// Examined says that the examination was held in the training, and none taken over.
func (m *Model) Examined() bool { return m.held }

// adopt takes over an examination that was of this very model.
func (m *Model) adopt(known []Examination) bool {
	for _, k := range known {
		if k.Of == m.digest && len(k.Trust) == traitCount {
			m.trust, m.limit, m.check = trust(k.Trust), k.Limit, k.Check
			return true
		}
	}
	return false
}

// digest is the same for models that read, think and were examined alike: of what they have learnt, and how the examples
// were dealt out.
func (o *opinions) digest(fold []int) string {
	h := sha256.New()
	var b []byte
	add := func(x uint32) { b = binary.LittleEndian.AppendUint32(b, x) }
	add(examiner)
	for _, f := range fold {
		add(uint32(f))
	}
	for _, r := range []*regression{o.spelling, o.meaning} {
		for _, row := range append(r.weights, r.bias) {
			for _, w := range row {
				add(math.Float32bits(w))
			}
			if len(b) > 1<<15 {
				h.Write(b)
				b = b[:0]
			}
		}
	}
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}
