//go:build race

package integration

// raceDetector says that the tests, and the program in them, take several times the
// memory that the program takes.
const raceDetector = true
