package example

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

type code struct{ ZipFile []byte }

type configuration struct {
	FunctionName, Handler, Runtime, Role string
	Architectures, Layers                []string
	Code                                 code

	Region string `json:"-"` // that it was made in
}

// lambda has one function, whose answer is the event, and one role. What is not
// for functions or roles goes to layers.
type lambda struct {
	url    string
	layers *fakelambda.API

	mu       sync.Mutex
	noted    []string
	exists   bool
	role     bool
	function configuration
}

func newLambda(t *testing.T) *lambda {
	l := &lambda{layers: fakelambda.New()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const prefix = "/2015-03-31/functions"
		path, functions := strings.CutPrefix(r.URL.Path, prefix)
		if !functions && r.URL.Path != "/" {
			l.layers.ServeHTTP(w, r)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		var err error
		if functions {
			_, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
			err = l.serveFunction(w, r, strings.TrimSpace(r.Method+" "+path))
		} else {
			err = l.serveRole(w, r)
		}
		if err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
	}))
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

func (l *lambda) serveFunction(w http.ResponseWriter, r *http.Request, call string) error {
	l.noted = append(l.noted, call)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	answer := "{}"
	w.Header().Set("Content-Type", "application/json")
	switch {
	case call == "POST":
		if l.role && !slices.Contains(l.noted[:len(l.noted)-1], "POST") { // the role is new
			w.Header().Set("X-Amzn-ErrorType", "InvalidParameterValueException")
			w.WriteHeader(http.StatusBadRequest)
			answer = `{"Message":"The role defined for the function cannot be assumed by Lambda."}`
			break
		}
		l.exists = true
		l.function.Region = regexp.MustCompile(`Credential=[^/]*/[^/]*/([^/]*)/`).FindStringSubmatch(r.Header.Get("Authorization"))[1]
		err = json.Unmarshal(body, &l.function)
		w.WriteHeader(http.StatusCreated)
	case !l.exists:
		w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		answer = `{"Message":"no such function"}`
	case call == "PUT code":
		err = json.Unmarshal(body, &l.function.Code)
	case call == "PUT configuration":
		err = json.Unmarshal(body, &l.function)
	case call == "POST invocations":
		answer = `{"event":` + string(body) + `}`
	default:
		answer = `{"State":"Active","LastUpdateStatus":"Successful"}`
	}
	_, _ = io.WriteString(w, answer)
	return err
}

// serveRole answers as IAM does.
func (l *lambda) serveRole(w http.ResponseWriter, r *http.Request) error {
	action := r.PostFormValue("Action")
	l.noted = append(l.noted, action)
	switch {
	case action == "CreateRole":
		l.role = true
		if trust := r.PostFormValue("AssumeRolePolicyDocument"); !json.Valid([]byte(trust)) {
			return fmt.Errorf("the trust policy is %s", trust)
		}
	case !l.role:
		w.WriteHeader(http.StatusNotFound)
		_, err := io.WriteString(w, `<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>no such role</Message></Error></ErrorResponse>`)
		return err
	}
	_, err := fmt.Fprintf(w, `<%[1]sResponse><%[1]sResult><Role><Arn>%[2]s</Arn></Role></%[1]sResult></%[1]sResponse>`, action, madeRole)
	return err
}

// madeRole is the ARN of the role that IAM makes.
const madeRole = "arn:aws:iam::123456789012:role/lambda-php"

// swap puts another function in the place of the one that there is.
func (l *lambda) swap(f configuration) configuration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.function, f = f, l.function
	return f
}

// calls returns what was called since it was last asked.
func (l *lambda) calls() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	noted := l.noted
	l.noted = nil
	return noted
}
