package fakelambda

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// contentPath is where the zips are: REGION/LAYER/VERSION below it.
const contentPath = "/2018-10-31/content/"

// timeFormat is how the service writes times.
const timeFormat = "2006-01-02T15:04:05.000-0700"

// Version is a layer version. Its slices must not be changed.
type Version struct {
	Region, Layer           string
	Number                  int64 // from 1, counted for each layer
	Description             string
	LicenseInfo             string
	CompatibleRuntimes      []string
	CompatibleArchitectures []string
	Created                 time.Time
	Zip                     []byte
}

// ARN returns the layer version's ARN.
func (v Version) ARN() string { return v.key().arn() + ":" + strconv.FormatInt(v.Number, 10) }

// CodeSha256 returns the SHA-256 of the zip as the API shows it, in base64.
func (v Version) CodeSha256() string {
	sum := sha256.Sum256(v.Zip)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (v Version) key() layerKey { return layerKey{v.Region, v.Layer} }

// A layerKey names a layer.
type layerKey struct{ region, name string }

func (k layerKey) arn() string {
	return fmt.Sprintf("arn:%s:lambda:%s:%s:layer:%s", partition(k.region), k.region, AccountID, k.name)
}

// A layer is the versions of one name, the oldest first. A number is never
// used again, so last counts the deleted ones too.
type layer struct {
	last     int64
	versions []Version
}

// AddVersion puts a layer version in place without a request and without any
// check, and returns its ARN. Its Number is given by the API; Created is now
// if it is not set.
func (a *API) AddVersion(v Version) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.add(v).ARN()
}

// add does so with the lock held.
func (a *API) add(v Version) Version {
	l := a.layers[v.key()]
	if l == nil {
		l = new(layer)
		a.layers[v.key()] = l
	}
	l.last++
	v.Number = l.last
	if v.Created.IsZero() {
		v.Created = time.Now()
	}
	l.versions = append(l.versions, v)
	return v
}

// DeleteVersion deletes the layer version with this ARN without a request. It
// tells whether there was one.
func (a *API) DeleteVersion(arn string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.layers {
		before := len(l.versions)
		l.versions = slices.DeleteFunc(l.versions, func(v Version) bool { return v.ARN() == arn })
		if len(l.versions) < before {
			return true
		}
	}
	return false
}

// Versions returns all the layer versions that there are, sorted by region,
// layer name and number.
func (a *API) Versions() []Version {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Version
	for _, l := range a.layers {
		all = append(all, l.versions...)
	}
	slices.SortFunc(all, func(x, y Version) int {
		return cmp.Or(cmp.Compare(x.Region, y.Region), cmp.Compare(x.Layer, y.Layer), cmp.Compare(x.Number, y.Number))
	})
	return all
}

// version looks a layer version up.
func (a *API) version(key layerKey, number int64) (Version, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.layers[key]; l != nil {
		for _, v := range l.versions {
			if v.Number == number {
				return v, true
			}
		}
	}
	return Version{}, false
}

// versionJSON is a layer version in an answer.
type versionJSON struct {
	Content                 *contentJSON `json:",omitempty"`
	LayerArn                string       `json:",omitempty"`
	LayerVersionArn         string
	Version                 int64
	Description             string
	CreatedDate             string
	CompatibleRuntimes      []string `json:",omitempty"`
	LicenseInfo             string   `json:",omitempty"`
	CompatibleArchitectures []string `json:",omitempty"`
}

type contentJSON struct {
	Location   string
	CodeSha256 string
	CodeSize   int64
}

// listed is a layer version as ListLayerVersions shows it.
func (v Version) listed() versionJSON {
	return versionJSON{
		LayerVersionArn:         v.ARN(),
		Version:                 v.Number,
		Description:             v.Description,
		CreatedDate:             v.Created.UTC().Format(timeFormat),
		CompatibleRuntimes:      v.CompatibleRuntimes,
		LicenseInfo:             v.LicenseInfo,
		CompatibleArchitectures: v.CompatibleArchitectures,
	}
}

// whole is a layer version as GetLayerVersion shows it. Its content is to be
// had from the host that the request went to.
func (v Version) whole(r request) versionJSON {
	whole := v.listed()
	whole.LayerArn = v.key().arn()
	whole.Content = &contentJSON{
		Location:   fmt.Sprintf("http://%s%s%s/%s/%d", r.Host, contentPath, v.Region, v.Layer, v.Number),
		CodeSha256: v.CodeSha256(),
		CodeSize:   int64(len(v.Zip)),
	}
	return whole
}

// splitLayerName returns the region and the name in a layer's ARN or, for a
// plain name, that name and the region of the request.
func splitLayerName(nameOrARN, region string) (inRegion, name string) {
	if fields := strings.Split(nameOrARN, ":"); len(fields) >= 7 {
		return fields[3], fields[6]
	}
	return region, nameOrARN
}

// layerOf returns the layer that the path of a request names, if the caller
// may perform the operation on it. Suffix is what belongs to the resource's
// ARN after the layer's own.
func (a *API) layerOf(r request, suffix string) (layerKey, *apiError) {
	nameOrARN := r.PathValue("layer")
	var broken violations
	broken.length(nameOrARN, "layerName", maxNameLength)
	broken.pattern(nameOrARN, "layerName", layerNamePattern)
	if failure := broken.failure(); failure != nil {
		return layerKey{}, failure
	}
	region, name := splitLayerName(nameOrARN, r.region)
	key := layerKey{region, name}
	if strings.HasPrefix(nameOrARN, "arn:") && nameOrARN != key.arn() {
		return layerKey{}, accessDenied(r, r.operation, nameOrARN+suffix, "resource-based")
	}
	return key, a.authorize(r, key.arn()+suffix)
}

// numberOf returns the version number in the path of a request.
func numberOf(r request) (int64, *apiError) {
	number, err := strconv.ParseInt(r.PathValue("version"), 10, 64)
	if err != nil {
		return 0, &errUnknownOperation
	}
	if number < 1 {
		return 0, invalidParameter("Layer Version Cannot be less than 1")
	}
	return number, nil
}

func (a *API) listLayerVersions(r request) (int, any, *apiError) {
	key, failure := a.layerOf(r, "")
	if failure != nil {
		return 0, nil, failure
	}
	// A marker is the number of the last version that was listed, so that
	// versions made or deleted in between shift no page.
	before := int64(-1)
	if marker := r.URL.Query().Get("Marker"); marker != "" {
		number, err := base64.URLEncoding.DecodeString(marker)
		if err == nil {
			before, err = strconv.ParseInt(string(number), 10, 64)
		}
		if err != nil {
			return 0, nil, invalidParameter("Invalid pagination token")
		}
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	answer := struct {
		NextMarker    *string
		LayerVersions []versionJSON
	}{LayerVersions: []versionJSON{}}
	var versions []Version
	if l := a.layers[key]; l != nil {
		versions = l.versions
	}
	for _, v := range slices.Backward(versions) {
		if before >= 0 && v.Number >= before {
			continue
		}
		if len(answer.LayerVersions) == a.pageSize {
			last := answer.LayerVersions[a.pageSize-1].Version
			marker := base64.URLEncoding.EncodeToString(strconv.AppendInt(nil, last, 10))
			answer.NextMarker = &marker
			break
		}
		answer.LayerVersions = append(answer.LayerVersions, v.listed())
	}
	return http.StatusOK, answer, nil
}

func (a *API) getLayerVersion(r request) (int, any, *apiError) {
	key, failure := a.layerOf(r, ":"+r.PathValue("version"))
	if failure != nil {
		return 0, nil, failure
	}
	number, failure := numberOf(r)
	if failure != nil {
		return 0, nil, failure
	}
	v, ok := a.version(key, number)
	if !ok {
		return 0, nil, &errNotFound
	}
	return http.StatusOK, v.whole(r), nil
}

func (a *API) publishLayerVersion(r request) (int, any, *apiError) {
	key, failure := a.layerOf(r, "")
	if failure != nil {
		return 0, nil, failure
	}
	var input struct {
		Content                 *content
		Description             string
		LicenseInfo             string
		CompatibleRuntimes      []string
		CompatibleArchitectures []string
	}
	if failure := r.decode(&input); failure != nil {
		return 0, nil, failure
	}
	var broken violations
	if input.Content == nil {
		broken = append(broken, "Value null at 'content' failed to satisfy constraint: Member must not be null")
	}
	broken.length(input.Description, "description", maxDescription)
	broken.length(input.LicenseInfo, "licenseInfo", maxLicenseInfo)
	broken.items(input.CompatibleRuntimes, "compatibleRuntimes", maxRuntimes)
	broken.items(input.CompatibleArchitectures, "compatibleArchitectures", maxArchitectures)
	broken.architectures(input.CompatibleArchitectures, "compatibleArchitectures")
	if failure := broken.failure(); failure != nil {
		return 0, nil, failure
	}
	if len(input.CompatibleArchitectures) > 0 && a.old[r.region] {
		return 0, nil, invalidParameter("CompatibleArchitectures are not supported in " + r.region +
			". Please remove the CompatibleArchitectures value from your request and try again")
	}
	data, failure := a.unzip(r, *input.Content, maxUnzippedSize)
	if failure != nil {
		return 0, nil, failure
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	v := a.add(Version{
		Region:                  key.region,
		Layer:                   key.name,
		Description:             input.Description,
		LicenseInfo:             input.LicenseInfo,
		CompatibleRuntimes:      input.CompatibleRuntimes,
		CompatibleArchitectures: input.CompatibleArchitectures,
		Zip:                     data,
	})
	return http.StatusCreated, v.whole(r), nil
}

// serveContent gives a layer version's zip back. Like the service's links to
// S3, the URL needs no signature.
func (a *API) serveContent(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.ParseInt(r.PathValue("version"), 10, 64)
	v, ok := a.version(layerKey{r.PathValue("region"), r.PathValue("layer")}, number)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Length", strconv.Itoa(len(v.Zip)))
	_, _ = w.Write(v.Zip) // the client may have left
}
