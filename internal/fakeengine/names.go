package fakeengine

import (
	"net/http"
	"regexp"
	"slices"
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
func (e *Engine) find(images []imagetest.Ref, name string) (imagetest.Ref, error) {
	named, err := parse(name)
	if err != nil {
		return imagetest.Ref{}, err
	}
	for _, image := range images {
		if matches(image, named) {
			return image, nil
		}
	}
	if image, ok, err := e.byID(images, name); ok || err != nil {
		return image, err
	}
	// A bare name is reported with the tag that was looked for, an ID is not.
	if named != nil && reference.FamiliarName(named) != "sha256" {
		name = reference.FamiliarString(reference.TagNameOnly(named))
	}
	return imagetest.Ref{}, noSuchImage(name)
}

// findAll is find for an export: there, a bare name stands for all tags of the
// repository, and only an image asked for by a tag has its name in the archive.
func (e *Engine) findAll(images []imagetest.Ref, name string) ([]imagetest.Ref, error) {
	named, err := parse(name)
	if err != nil {
		return nil, err
	}
	if named != nil && reference.IsNameOnly(named) {
		var all []imagetest.Ref
		for _, image := range images {
			if image.Name != "" && fullName(image.Name).Name() == named.Name() {
				all = append(all, image)
			}
		}
		if len(all) > 0 {
			return all, nil
		}
	}
	image, err := e.find(images, name)
	if err != nil {
		if named != nil && reference.IsNameOnly(named) {
			err = noSuchImage(name)
		} else if named != nil && reference.FamiliarName(named) != "sha256" {
			err = httpError{http.StatusNotFound, "reference does not exist"}
		}
		return nil, err
	}
	if _, tagged := named.(reference.NamedTagged); !tagged || !matches(image, named) {
		image.Name = ""
	} else if _, digested := named.(reference.Digested); digested {
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
		digest, err := image.Content.Digest()
		return err == nil && own.Name() == named.Name() && digest.String() == digested.Digest().String()
	}
	return own.String() == reference.TagNameOnly(named).String()
}

// fullName returns the name of an image of the engine's. A test that gives it
// one that is none has to hear of it.
func fullName(name string) reference.Named {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		panic("fakeengine: " + name + ": " + err.Error())
	}
	return reference.TagNameOnly(named)
}

func (e *Engine) byID(images []imagetest.Ref, name string) (imagetest.Ref, bool, error) {
	m := shortID.FindStringSubmatch(name)
	if m == nil {
		return imagetest.Ref{}, false, nil
	}
	for _, image := range images {
		id, err := e.id(image.Content)
		if err != nil {
			return imagetest.Ref{}, false, err
		}
		if strings.HasPrefix(id.Hex, m[1]) {
			return image, true, nil
		}
	}
	return imagetest.Ref{}, false, nil
}

// id returns the ID that the engine gives to content.
func (e *Engine) id(content imagetest.Content) (v1.Hash, error) {
	if e.options.Format == imagetest.DockerContainerd {
		return content.Digest()
	}
	img, ok := content.(v1.Image)
	if !ok {
		var err error
		if img, err = imagetest.Select(content, imagetest.HostPlatform); err != nil {
			return v1.Hash{}, err
		}
	}
	return img.ConfigName()
}

// names returns the tags and the digests by which the engine knows the image.
func (e *Engine) names(images []imagetest.Ref, id v1.Hash) (tags, digests []string, err error) {
	tags, digests = []string{}, []string{} // not null in JSON
	for _, image := range images {
		other, err := e.id(image.Content)
		if err != nil {
			return nil, nil, err
		}
		if other != id || image.Name == "" {
			continue
		}
		digest, err := image.Content.Digest()
		if err != nil {
			return nil, nil, err
		}
		named := fullName(image.Name)
		tags = append(tags, reference.FamiliarString(named))
		digests = append(digests, reference.FamiliarName(named)+"@"+digest.String())
	}
	slices.Sort(digests)
	return tags, slices.Compact(digests), nil
}
