package fakelambda

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// A statement lets somebody use a layer version, as a policy has it.
type statement struct {
	Sid       string
	Effect    string
	Principal any
	Action    string
	Resource  string
	Condition any `json:",omitempty"`
}

// versionOf returns the layer version that the path of a request names, for an
// operation on its policy.
func (a *API) versionOf(r request) (Version, *apiError) {
	key, failure := a.layerOf(r, ":"+r.PathValue("version"))
	if failure != nil {
		return Version{}, failure
	}
	number, failure := numberOf(r)
	if failure != nil {
		return Version{}, failure
	}
	v, ok := a.version(key, number)
	if !ok {
		return Version{}, &apiError{
			status: 404, code: "ResourceNotFoundException",
			message: fmt.Sprintf("Layer version %s:%d does not exist.", key.arn(), number),
		}
	}
	return v, nil
}

func (a *API) addLayerVersionPermission(r request) (int, any, *apiError) {
	v, failure := a.versionOf(r)
	if failure != nil {
		return 0, nil, failure
	}
	var input struct{ StatementId, Action, Principal, OrganizationId string }
	if failure := r.decode(&input); failure != nil {
		return 0, nil, failure
	}
	var broken violations
	broken.pattern(input.StatementId, "statementId", statementPattern)
	broken.pattern(input.Action, "action", "lambda:GetLayerVersion")
	broken.pattern(input.Principal, "principal", principalPattern)
	if input.OrganizationId != "" {
		broken.pattern(input.OrganizationId, "organizationId", organizationPattern)
	}
	if failure := broken.failure(); failure != nil {
		return 0, nil, failure
	}
	s := statement{Sid: input.StatementId, Effect: "Allow", Principal: input.Principal, Action: input.Action, Resource: v.ARN()}
	switch {
	case input.OrganizationId != "" && input.Principal != "*":
		return 0, nil, invalidParameter("OrganizationId is only supported with principal *.")
	case input.OrganizationId != "":
		s.Condition = map[string]any{"StringEquals": map[string]string{"aws:PrincipalOrgID": input.OrganizationId}}
	case len(input.Principal) == len(AccountID):
		s.Principal = map[string]string{"AWS": fmt.Sprintf("arn:%s:iam::%s:root", partition(v.Region), input.Principal)}
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	for _, there := range a.policies[v.ARN()] {
		if there.Sid == s.Sid {
			return 0, nil, &apiError{
				status: 409, code: "ResourceConflictException",
				message: "The statement id (" + s.Sid + ") provided already exists. Please provide a new statement id, or remove the existing statement.",
			}
		}
	}
	a.policies[v.ARN()] = append(a.policies[v.ARN()], s)
	return http.StatusCreated, map[string]string{"Statement": inJSON(s), "RevisionId": a.revision(v)}, nil
}

func (a *API) getLayerVersionPolicy(r request) (int, any, *apiError) {
	v, failure := a.versionOf(r)
	if failure != nil {
		return 0, nil, failure
	}
	policy := a.Policy(v.ARN())
	if policy == "" {
		return 0, nil, &apiError{
			status: 404, code: "ResourceNotFoundException",
			message: "No policy is associated with the given resource.",
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return http.StatusOK, map[string]string{"Policy": policy, "RevisionId": a.revision(v)}, nil
}

// Policy returns the policy of the layer version with this ARN; empty: it has none.
func (a *API) Policy(arn string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.policies[arn]) == 0 {
		return ""
	}
	return inJSON(struct {
		Version, Id string
		Statement   []statement
	}{"2012-10-17", "default", a.policies[arn]})
}

// revision tells one state of a policy from others.
func (a *API) revision(v Version) string {
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", len(a.policies[v.ARN()]))
}

// inJSON is a value as JSON within JSON.
func inJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // all values are of this package's own types
	}
	return string(b)
}
