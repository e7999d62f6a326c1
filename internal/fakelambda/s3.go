package fakelambda

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
)

// object reads an object from the S3 service of [WithS3].
func (a *API) object(r request, c content) ([]byte, *apiError) {
	if a.s3 == nil {
		return nil, errGetObject("NoSuchBucket", "The specified bucket does not exist")
	}
	target := url.URL{Scheme: "http", Host: r.Host, Path: "/" + c.S3Bucket + "/" + c.S3Key}
	if c.S3ObjectVersion != "" {
		target.RawQuery = url.Values{"versionId": {c.S3ObjectVersion}}.Encode()
	}
	get, err := http.NewRequestWithContext(r.Context(), http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, errGetObject("InvalidURI", err.Error())
	}
	answer := httptest.NewRecorder()
	a.s3.ServeHTTP(answer, get)
	if answer.Code == http.StatusOK {
		return answer.Body.Bytes(), nil
	}
	var s3Error struct{ Code, Message string }
	if err := xml.Unmarshal(answer.Body.Bytes(), &s3Error); err != nil {
		s3Error.Code, s3Error.Message = http.StatusText(answer.Code), err.Error()
	}
	return nil, errGetObject(s3Error.Code, s3Error.Message)
}

// errGetObject is the error of an object that Lambda cannot read.
func errGetObject(code, message string) *apiError {
	return invalidParameter(fmt.Sprintf("Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s", code, message))
}
