package main

import (
	"fmt"
	"os"
	"strings"
)

// lang is the language of a text for a person: "ru" or "en".
type lang string

// say gives a text in the language; both texts take the same args.
func (l lang) say(en, ru string, args ...any) string {
	text := en
	if l == "ru" {
		text = ru
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// envLang is the language of the terminal, for what is said before config.yaml is read.
func envLang() lang {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			if strings.HasPrefix(v, "ru") {
				return "ru"
			}
			return "en"
		}
	}
	return "en"
}
