package processors

import (
	_ "embed"
	"fmt"

	"leadstream/processors/intent"
)

// The phrases that the classifier learns from, in the format of package intent; the business adds its own.
var (
	//go:embed intents.ru.yaml
	russianExamples []byte
	//go:embed intents.en.yaml
	englishExamples []byte
)

// Examples are those that come with the program, in both languages.
func Examples() (intent.Examples, error) {
	var all intent.Examples
	if err := all.Add(russianExamples); err != nil {
		return all, fmt.Errorf("intents.ru.yaml: %w", err)
	}
	if err := all.Add(englishExamples); err != nil {
		return all, fmt.Errorf("intents.en.yaml: %w", err)
	}
	return all, nil
}
