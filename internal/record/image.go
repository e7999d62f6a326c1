package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// myApp is an image as people have them: a system, a runtime, a library and a
// function. It is the same each time.
func myApp() v1.Image {
	return imagetest.Image(imagetest.Options{},
		imagetest.Tar(files("usr/lib", 4, 1<<20)...),
		imagetest.Tar(append(files("opt/runtime/lib", 80, 480<<10), imagetest.File("opt/bootstrap", "#!/opt/runtime/bin/run\n", imagetest.Mode(0o755)))...),
		imagetest.Tar(files("opt/library", 220, 24<<10)...),
		imagetest.Tar(files("var/task/src", 6, 3<<10)...),
	)
}

// files makes files of about a size in bytes, which shrink as programs do.
func files(dir string, n, size int) []imagetest.Entry {
	entries := []imagetest.Entry{imagetest.Dir(dir + "/")}
	for i := range n {
		rng := rand.New(rand.NewPCG(uint64(i), uint64(size)))
		b := make([]byte, 0, size+17) // the last number may be over it
		for len(b) < size {
			b = append(strconv.AppendUint(b, rng.Uint64N(1<<rng.UintN(48)+1), 16), '\n')
		}
		entries = append(entries, imagetest.File(fmt.Sprintf("%s/%d", dir, i), string(b)))
	}
	return entries
}
