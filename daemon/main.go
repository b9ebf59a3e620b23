// Command leadstream takes customer enquiries and gets every one of them to the people who will answer it. This package
// is the command line, the configuration and the wiring; leads are moved by streams, judged by processors, delivered
// by sinks.
package main

import (
	"os"

	"github.com/redis/go-redis/v9"
)

func main() {
	redis.SetLogger(quiet{}) // our own lines say what happens to Redis
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
