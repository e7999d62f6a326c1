package fakelambda

// A Call is a request for an operation.
type Call struct {
	Operation Operation
	Region    string // the one that the request is signed for
	Layer     string // its name; empty for operations on functions
	// Status is the status of the answer, or 0 as long as there is none and
	// where the connection was closed instead.
	Status int
}

// Calls returns the calls so far, in the order in which they came in.
func (a *API) Calls() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := make([]Call, len(a.calls))
	for i, call := range a.calls {
		calls[i] = *call
	}
	return calls
}

// Count returns how many of the calls so far were for an operation, whatever
// became of them.
func (a *API) Count(op Operation) int {
	n := 0
	for _, call := range a.Calls() {
		if call.Operation == op {
			n++
		}
	}
	return n
}

// MaxInFlight returns the largest number of calls that were under way at once.
func (a *API) MaxInFlight() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.maxFlight
}

// ResetCalls forgets the calls so far, for Calls, Count and MaxInFlight.
func (a *API) ResetCalls() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls, a.maxFlight = nil, a.inFlight
}

// begin logs a call that came in. It returns the call's place in the log, its
// number among all calls, and what the rules do to it.
func (a *API) begin(op Operation, region, layer string) (call *Call, number int, actions []Action) {
	a.mu.Lock()
	defer a.mu.Unlock()
	call = &Call{Operation: op, Region: region, Layer: layer}
	a.calls = append(a.calls, call)
	a.requests++
	a.inFlight++
	a.maxFlight = max(a.maxFlight, a.inFlight)
	for _, rule := range a.rules {
		if rule.applies(op, region, layer) {
			actions = append(actions, rule.Do)
		}
	}
	return call, a.requests, actions
}

// end logs what a call was answered with.
func (a *API) end(call *Call, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	call.Status = status
	a.inFlight--
}
