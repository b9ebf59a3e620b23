package main

import (
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"leadstream/processors"
	"leadstream/processors/intent"
	"leadstream/processors/learn"
	"leadstream/processors/slots"
)

// examples are what the classifier learns from: those that come with the program, and the business's own.
func (c *Triage) examples() (intent.Examples, error) {
	all, err := processors.Examples()
	if err != nil {
		return all, err
	}
	for _, file := range c.Examples {
		text, err := os.ReadFile(file)
		if err != nil {
			return all, err
		}
		if err := all.Add(text); err != nil {
			return all, fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, s := range c.Services {
		all.Services = append(append(all.Services, s.Name), s.Also...)
	}
	return all, all.Check()
}

// slotReader reads the particulars of messages.
func (c *Config) slotReader() slots.Reader {
	return slots.Reader{Zone: c.Zone(), Region: c.Region, Services: slots.NewCatalog(c.Triage.Services...),
		Products: slots.NewCatalog(c.Triage.Products...), Branches: slots.NewCatalog(c.Triage.Branches...)}
}

// teach trains the model that triage starts with.
func teach(desk *learn.Desk, log zerolog.Logger) error {
	m, err := desk.Start()
	if err != nil {
		return fmt.Errorf("triage.examples: %w", err)
	}
	check := m.Check()
	log.Info().Int("examples", check.Asked).Float64("accuracy", rounded(check.Accuracy)).Float64("precision", rounded(check.Precision)).
		Float64("coverage", rounded(check.Coverage)).Dur("took", m.Took().Round(time.Millisecond)).Msg("triage has learnt")
	return nil
}
