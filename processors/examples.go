package processors

import "embed"

// Examples are the phrases that the intent classifier learns from, intents.ru.yaml and intents.en.yaml. Their format is
// package intent's; the business adds to them in a file of its own.
//
//go:embed intents.ru.yaml intents.en.yaml
var Examples embed.FS
