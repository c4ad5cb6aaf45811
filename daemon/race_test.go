//go:build race

package main

const raceEnabled = true // the race detector allocates on its own
