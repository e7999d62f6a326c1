package fakelambda

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A functionKey names a function.
type functionKey struct{ region, name string }

func (k functionKey) arn() string {
	return fmt.Sprintf("arn:%s:lambda:%s:%s:function:%s", partition(k.region), k.region, AccountID, k.name)
}

// A function is a function's configuration as the API shows it.
type function struct {
	FunctionName, FunctionArn string
	Runtime, Role, Handler    string
	CodeSize                  int64
	CodeSha256                string
	Description               string
	Timeout, MemorySize       int
	LastModified              string
	Version                   string
	PackageType               string
	Architectures             []string
	Layers                    []functionLayer `json:",omitempty"`
	State                     string
	StateReason               string `json:",omitempty"`
	StateReasonCode           string `json:",omitempty"`
	LastUpdateStatus          string `json:",omitempty"`
}

type functionLayer struct {
	Arn      string
	CodeSize int64
}

// functionInput is what a function is created of.
type functionInput struct {
	FunctionName, Runtime, Role, Handler string
	Description, PackageType             string
	Code                                 content
	Timeout, MemorySize                  int
	Architectures, Layers                []string
}

// check finds what the service would refuse in it alone.
func (in *functionInput) check() *apiError {
	var broken violations
	broken.pattern(in.FunctionName, "functionName", functionNamePattern)
	broken.pattern(in.Role, "role", rolePattern)
	broken.length(in.Description, "description", maxDescription)
	broken.items(in.Architectures, "architectures", 1)
	broken.architectures(in.Architectures, "architectures")
	broken.layers(in.Layers)
	switch failure := broken.failure(); {
	case failure != nil:
		return failure
	case in.PackageType != "Zip":
		return invalidParameter("This API has functions of package type Zip only.")
	case in.Runtime == "" || in.Handler == "":
		return invalidParameter("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	return nil
}

func (a *API) createFunction(r request) (int, any, *apiError) {
	input := functionInput{PackageType: "Zip", Timeout: 3, MemorySize: 128}
	if failure := r.decode(&input); failure != nil {
		return 0, nil, failure
	}
	key := functionKey{r.region, input.FunctionName}
	if failure := a.authorize(r, key.arn()); failure != nil {
		return 0, nil, failure
	}
	if len(input.Architectures) == 0 {
		input.Architectures = architectures[:1]
	}
	if failure := input.check(); failure != nil {
		return 0, nil, failure
	}
	layers, size, failure := a.resolveLayers(r, input.Layers)
	if failure != nil {
		return 0, nil, failure
	}
	code, failure := a.unzip(r, input.Code, maxUnzippedSize-size)
	if failure != nil {
		return 0, nil, failure
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.functions[key]; ok {
		return 0, nil, &apiError{
			status: 409, code: "ResourceConflictException",
			message: "Function already exist: " + input.FunctionName,
		}
	}
	f := function{
		FunctionName:     input.FunctionName,
		FunctionArn:      key.arn(),
		Runtime:          input.Runtime,
		Role:             input.Role,
		Handler:          input.Handler,
		Description:      input.Description,
		Timeout:          input.Timeout,
		MemorySize:       input.MemorySize,
		Version:          "$LATEST",
		PackageType:      input.PackageType,
		Architectures:    input.Architectures,
		Layers:           layers,
		State:            "Active",
		LastUpdateStatus: "Successful",
	}
	f.setCode(code)
	a.functions[key] = f
	// A function is ready when it is asked for again.
	f.State, f.LastUpdateStatus = "Pending", ""
	f.StateReason, f.StateReasonCode = "The function is being created.", "Creating"
	return http.StatusCreated, f, nil
}

// setCode sets what a function shows of its code.
func (f *function) setCode(zip []byte) {
	sum := sha256.Sum256(zip)
	f.CodeSha256, f.CodeSize = base64.StdEncoding.EncodeToString(sum[:]), int64(len(zip))
	f.LastModified = time.Now().UTC().Format(timeFormat)
}

// layers wants the ARNs of layer versions.
func (v *violations) layers(arns []string) {
	for _, arn := range arns {
		if len(arn) > maxARNLength || !matches(arn, layerARNPattern) {
			v.add(list(arns), "layers", fmt.Sprintf("Member must satisfy constraint: [Member must have length less than or equal to %d, "+
				"Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: %s]",
				maxARNLength, layerARNPattern))
			return
		}
	}
}

// resolveLayers checks that a function can have the layer versions with these
// ARNs. It returns how the function shows them, and their unzipped size in
// bytes together.
func (a *API) resolveLayers(r request, arns []string) ([]functionLayer, int64, *apiError) {
	if len(arns) > maxLayers {
		return nil, 0, invalidParameter(fmt.Sprintf("Cannot reference more than %d layers.", maxLayers))
	}
	var layers []functionLayer
	var size int64
	first := make(map[layerKey]string)
	for _, arn := range arns {
		region, name := splitLayerName(arn, "")
		key := layerKey{region, name}
		var number int64
		if region != r.region {
			return nil, 0, invalidParameter("Layers are not in the same region as the function. " +
				"Layers are expected to be in region " + r.region + ".")
		}
		if _, err := fmt.Sscanf(strings.TrimPrefix(arn, key.arn()), ":%d", &number); err != nil {
			return nil, 0, accessDenied(r, GetLayerVersion, arn, "resource-based")
		}
		v, ok := a.version(key, number)
		if !ok {
			return nil, 0, invalidParameter("Layer version " + arn + " does not exist.")
		}
		if other, ok := first[key]; ok {
			return nil, 0, invalidParameter(fmt.Sprintf("Two different versions of the same layer are not allowed to be referenced"+
				" in the same function. %s and %s are versions of the same layer.", other, arn))
		}
		first[key] = arn
		archive, err := zip.NewReader(bytes.NewReader(v.Zip), int64(len(v.Zip)))
		if err != nil {
			return nil, 0, errUnzip() // only through AddVersion
		}
		size += unzippedSize(archive)
		layers = append(layers, functionLayer{arn, int64(len(v.Zip))})
	}
	if size > maxUnzippedSize {
		return nil, 0, invalidParameter(fmt.Sprintf("Layers consume more than the available size of %d bytes", maxUnzippedSize))
	}
	return layers, size, nil
}

// function returns the function that the path of a request names, if the caller
// may perform the operation on it.
func (a *API) function(r request) (functionKey, function, *apiError) {
	key := functionKey{r.region, r.PathValue("function")}
	if failure := a.authorize(r, key.arn()); failure != nil {
		return key, function{}, failure
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.functions[key]
	if !ok {
		return key, f, &apiError{
			status: 404, code: "ResourceNotFoundException",
			message: "Function not found: " + key.arn(),
		}
	}
	return key, f, nil
}

func (a *API) getFunction(r request) (int, any, *apiError) {
	_, f, failure := a.function(r)
	return http.StatusOK, struct{ Configuration function }{f}, failure
}

func (a *API) getFunctionConfiguration(r request) (int, any, *apiError) {
	_, f, failure := a.function(r)
	return http.StatusOK, f, failure
}

// update changes a function and answers as the service does, which is not ready
// at once.
func (a *API) update(key functionKey, change func(*function)) (int, any, *apiError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.functions[key]
	change(&f)
	a.functions[key] = f
	f.LastUpdateStatus = "InProgress"
	return http.StatusOK, f, nil
}

func (a *API) updateFunctionCode(r request) (int, any, *apiError) {
	key, _, failure := a.function(r)
	if failure != nil {
		return 0, nil, failure
	}
	var input content
	if failure := r.decode(&input); failure != nil {
		return 0, nil, failure
	}
	code, failure := a.unzip(r, input, maxUnzippedSize)
	if failure != nil {
		return 0, nil, failure
	}
	return a.update(key, func(f *function) { f.setCode(code) })
}

// updateFunctionConfiguration changes the layers alone.
func (a *API) updateFunctionConfiguration(r request) (int, any, *apiError) {
	key, _, failure := a.function(r)
	if failure != nil {
		return 0, nil, failure
	}
	var input struct{ Layers []string }
	if failure := r.decode(&input); failure != nil {
		return 0, nil, failure
	}
	var broken violations
	broken.layers(input.Layers)
	if failure := broken.failure(); failure != nil {
		return 0, nil, failure
	}
	layers, _, failure := a.resolveLayers(r, input.Layers)
	if failure != nil {
		return 0, nil, failure
	}
	return a.update(key, func(f *function) { f.Layers = layers })
}

// invokeFunction answers with the event.
func (a *API) invokeFunction(r request) (int, any, *apiError) {
	if _, _, failure := a.function(r); failure != nil {
		return 0, nil, failure
	}
	var event json.RawMessage
	if failure := r.decode(&event); failure != nil {
		return 0, nil, failure
	}
	return http.StatusOK, map[string]json.RawMessage{"event": event}, nil
}
