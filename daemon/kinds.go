package main

import "leadstream/sinks"

// kinds are the sorts of sink that config.yaml's `kind` may name. A new sink is its file and its line here.
var kinds = map[string]sinks.Kind{}
