//go:build race

package integration

// raceDetector says that the tests take several times the memory that they take
// without it, and raceProgram too.
const raceDetector = true
