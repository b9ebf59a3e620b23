package intent

import "sync/atomic"

// Current is the model in use. Another can be put in its place while messages are being read. Before the first, every
// message is unsure.
type Current struct{ model atomic.Pointer[Model] }

// Use puts a model in the place of the one before.
func (c *Current) Use(m *Model) { c.model.Store(m) }

// Model is the one in use, nil before the first.
func (c *Current) Model() *Model { return c.model.Load() }

// Read says what a message wants.
func (c *Current) Read(text string) Result {
	if m := c.model.Load(); m != nil {
		return m.Read(text)
	}
	return Result{Intent: Other, Intents: []string{Other}}
}
