package fakelambda_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

func TestThrottle(t *testing.T) {
	api, client := start(t)
	api.On(fakelambda.Rule{Do: fakelambda.Throttle(7)})
	_, err := publish(t.Context(), t, client, "l", "x")
	var throttled *types.TooManyRequestsException
	if !errors.As(err, &throttled) {
		t.Fatalf("got %v, want TooManyRequestsException", err)
	}
	if *throttled.RetryAfterSeconds != "7" || throttled.Reason != types.ThrottleReasonCallerRateLimitExceeded || throttled.ErrorMessage() != "Rate exceeded" {
		t.Errorf("got %+v", throttled)
	}

	// A client that retries gets through.
	api.ClearRules()
	api.ResetCalls()
	api.On(fakelambda.Rule{Times: 2, Do: fakelambda.Throttle(0)})
	patient := lambda.New(client.Options(), func(o *lambda.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	})
	if _, err := publish(t.Context(), t, patient, "l", "x"); err != nil {
		t.Error(err)
	}
	var statuses []int
	for _, call := range api.Calls() {
		statuses = append(statuses, call.Status)
	}
	if want := []int{429, 429, 201}; !slices.Equal(statuses, want) {
		t.Errorf("got statuses %v, want %v", statuses, want)
	}
}

// A rule hits only what it names.
func TestRule(t *testing.T) {
	api, client := start(t)
	refuse := fakelambda.Fail(400, "InvalidParameterValueException", "no")
	api.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Layer: "l", Skip: 1, Times: 2, Do: refuse})
	list := func() error {
		_, err := client.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("l")})
		return err
	}
	publish := func(layer string) error {
		_, err := publish(t.Context(), t, client, layer, "x")
		return err
	}
	for i, step := range []struct {
		err  error
		want bool
	}{
		{list(), true},
		{publish("other"), true},
		{publish("l"), true},
		{publish("l"), false},
		{list(), true},
		{publish("other"), true},
		{publish("l"), false},
		{publish("l"), true},
	} {
		if (step.err == nil) != step.want {
			t.Errorf("step %d: got %v", i, step.err)
		}
	}
}

func TestErrorAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		do            fakelambda.Action
		code, message string
	}{
		"500":    {fakelambda.Fail(500, "ServiceException", "broken"), "ServiceException", "broken"},
		"503":    {fakelambda.Fail(503, "ServiceUnavailableException", "later"), "ServiceUnavailableException", "later"},
		"denied": {fakelambda.Fail(403, "AccessDeniedException", "no"), "AccessDeniedException", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			api, client := start(t)
			api.On(fakelambda.Rule{Do: test.do})
			_, err := publish(t.Context(), t, client, "l", "x")
			wantError(t, err, test.code, test.message)
			if n := len(api.Versions()); n != 0 {
				t.Errorf("%d versions were published", n)
			}
		})
	}
}

// What is not an answer of Lambda is no error of its API, but an error.
func TestOtherAnswers(t *testing.T) {
	for name, do := range map[string]fakelambda.Action{
		"garbage":       fakelambda.Answer(http.StatusCreated, "\x00<html>"),
		"redirect loop": fakelambda.RedirectLoop(),
		"cut request":   fakelambda.CutRequest(20),
		"closed":        fakelambda.CutRequest(0),
	} {
		t.Run(name, func(t *testing.T) {
			api, client := start(t)
			api.On(fakelambda.Rule{Do: do})
			_, err := publish(testrun.Deadline(t), t, client, "l", "x")
			var apiError smithy.APIError
			if err == nil || errors.As(err, &apiError) && apiError.ErrorCode() != "UnknownError" {
				t.Errorf("got error %v", err)
			}
			if n := len(api.Versions()); n != 0 {
				t.Errorf("%d versions were published", n)
			}
		})
	}
}

// An answer that is cut anywhere is an error for the client, though its
// request was performed.
func TestCutAnswer(t *testing.T) {
	api, client := start(t)
	const step = 31
	cuts := 0
	for n := 0; ; n += step {
		api.ClearRules()
		api.On(fakelambda.Rule{Do: fakelambda.CutAnswer(n)})
		_, err := publish(testrun.Deadline(t), t, client, "l", "x")
		cuts++
		if published := len(api.Versions()); published != cuts {
			t.Fatalf("cut after %d bytes: %d versions after %d requests", n, published, cuts)
		}
		if err == nil {
			break
		}
	}
	// The whole answer has a status line, some headers and a body.
	if cuts*step < 300 {
		t.Errorf("the answer cut after %d bytes was good", cuts*step)
	}
	if call := api.Calls()[0]; call.Status != 0 {
		t.Errorf("the log has status %d for an answer that was cut", call.Status)
	}
}

// The version that the client saw in the list is gone when it asks for it.
func TestBefore(t *testing.T) {
	api, client := start(t)
	arn := api.AddVersion(fakelambda.Version{Region: region, Layer: "l"})
	api.On(fakelambda.Rule{Operation: fakelambda.GetLayerVersion, Do: fakelambda.Before(func() { api.DeleteVersion(arn) })})
	list, err := client.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("l")})
	if err != nil || len(list.LayerVersions) != 1 {
		t.Fatalf("got %+v, %v", list, err)
	}
	_, err = client.GetLayerVersion(t.Context(), &lambda.GetLayerVersionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(1)})
	wantError(t, err, "ResourceNotFoundException", "")
}

func TestGate(t *testing.T) {
	api, client := start(t)
	gate := fakelambda.NewGate()
	api.On(fakelambda.Rule{Do: gate.Hold})
	const n = 3
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := publish(testrun.Deadline(t), t, client, fmt.Sprint("l", i), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	if err := gate.Wait(testrun.Deadline(t), n); err != nil {
		t.Error(err)
	}
	if got := len(api.Versions()); got != 0 {
		t.Errorf("%d versions came through the closed gate", got)
	}
	gate.Open()
	gate.Open() // once more is no error
	wg.Wait()
	if got := len(api.Versions()); got != n {
		t.Errorf("%d versions were published, want %d", got, n)
	}
	if got := api.MaxInFlight(); got != n {
		t.Errorf("at most %d calls were under way at once, want %d", got, n)
	}
	if got := api.Count(fakelambda.PublishLayerVersion); got != n {
		t.Errorf("%d calls were counted, want %d", got, n)
	}

	left, cancel := context.WithCancel(t.Context())
	cancel()
	if err := gate.Wait(left, n+1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v from a wait in vain", err)
	}
}

// A client that leaves while it is kept waiting has published nothing, and
// does not keep the server from closing.
func TestLeavingClient(t *testing.T) {
	for name, do := range map[string]fakelambda.Action{
		"delay": fakelambda.Delay(time.Hour),
		"gate":  fakelambda.NewGate().Hold,
	} {
		t.Run(name, func(t *testing.T) {
			api, client := start(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan struct{})
			api.On(fakelambda.Rule{Do: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					cancel()
					next.ServeHTTP(w, r)
				})
			}})
			api.On(fakelambda.Rule{Do: do})
			// Large, so that the server has not got it all when the client leaves.
			if _, err := publish(ctx, t, client, "l", strings.Repeat("x", 1<<20)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context canceled", err)
			}
			select {
			case <-done:
			case <-testrun.Deadline(t).Done():
				t.Error("the call still waits")
			}
			if n := len(api.Versions()); n != 0 {
				t.Errorf("%d versions were published", n)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	api, client := start(t)
	const delay = 20 * time.Millisecond
	api.On(fakelambda.Rule{Do: fakelambda.Delay(delay)})
	before := time.Now()
	if _, err := publish(t.Context(), t, client, "l", "x"); err != nil {
		t.Error(err)
	}
	if took := time.Since(before); took < delay {
		t.Errorf("took %v, want at least %v", took, delay)
	}
}
