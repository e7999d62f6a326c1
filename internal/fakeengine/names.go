package fakeengine

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// shortID is an image ID or the beginning of one.
var shortID = regexp.MustCompile(`^(?:sha256:)?([a-f0-9]{1,64})$`)

// find returns the image that a name stands for: a tag, a bare name (the tag
// latest), a repository with the digest of the manifest or index, an ID, or the
// beginning of one.
func (e *Engine) find(name string) (imagetest.Ref, error) {
	named, err := parse(name)
	if err != nil {
		return imagetest.Ref{}, err
	}
	for _, image := range e.images {
		if matches(image, named) {
			return image, nil
		}
	}
	if m := shortID.FindStringSubmatch(name); m != nil {
		for _, image := range e.images {
			if strings.HasPrefix(e.id(image.Content).Hex, m[1]) {
				return image, nil
			}
		}
	}
	// A bare name is reported with the tag that was looked for, an ID is not.
	if named != nil && reference.FamiliarName(named) != "sha256" {
		name = reference.FamiliarString(reference.TagNameOnly(named))
	}
	return imagetest.Ref{}, noSuchImage(name)
}

// findAll is find for an export: there, a bare name stands for all tags of the
// repository, and only an image asked for by a tag has its name in the archive.
func (e *Engine) findAll(name string) ([]imagetest.Ref, error) {
	named, err := parse(name)
	if err != nil {
		return nil, err
	}
	if named != nil && reference.IsNameOnly(named) {
		var all []imagetest.Ref
		for _, image := range e.images {
			if image.Name != "" && fullName(image.Name).Name() == named.Name() {
				all = append(all, image)
			}
		}
		if len(all) > 0 {
			return all, nil
		}
	}
	image, err := e.find(name)
	if err != nil {
		if named != nil && reference.IsNameOnly(named) {
			err = noSuchImage(name)
		} else if named != nil && reference.FamiliarName(named) != "sha256" {
			err = httpError{http.StatusNotFound, "reference does not exist"}
		}
		return nil, err
	}
	_, tagged := named.(reference.NamedTagged)
	_, digested := named.(reference.Digested)
	if !tagged || digested || !matches(image, named) {
		image.Name = ""
	}
	return []imagetest.Ref{image}, nil
}

func noSuchImage(name string) error {
	return httpError{http.StatusNotFound, "No such image: " + name}
}

// parse returns the reference in full, nil for an ID of 64 digits.
func parse(name string) (reference.Named, error) {
	ref, err := reference.ParseAnyReference(name)
	if err != nil {
		return nil, httpError{http.StatusBadRequest, err.Error()}
	}
	named, _ := ref.(reference.Named)
	return named, nil
}

// matches says whether named, nil for none, is a name of the image.
func matches(image imagetest.Ref, named reference.Named) bool {
	if named == nil || image.Name == "" {
		return false
	}
	own := fullName(image.Name)
	if digested, ok := named.(reference.Digested); ok {
		return own.Name() == named.Name() && must(image.Content.Digest()).String() == digested.Digest().String()
	}
	return own.String() == reference.TagNameOnly(named).String()
}

// fullName returns the name of an image of the engine's.
func fullName(name string) reference.Named {
	return reference.TagNameOnly(must(reference.ParseNormalizedNamed(name)))
}

// id returns the ID that the engine gives to content.
func (e *Engine) id(content imagetest.Content) v1.Hash {
	if e.format == imagetest.DockerContainerd {
		return must(content.Digest())
	}
	img, ok := content.(v1.Image)
	if !ok {
		img = must(imagetest.Select(content, imagetest.HostPlatform))
	}
	return must(img.ConfigName())
}

// must panics where an image that a test made is none.
func must[T any](v T, err error) T {
	if err != nil {
		panic("fakeengine: " + err.Error())
	}
	return v
}
