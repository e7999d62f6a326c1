package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/pkg/errors"
)

// noZip is how the SDK writes an empty zip into the request's JSON. It occurs there
// only once: in any string, the quotes would be escaped.
var noZip = []byte(`"ZipFile":""`)

// streamZip puts a zip into the request of a PublishLayerVersion call whose input has
// an empty one. The SDK would keep the zip and its base64 in memory, five times its
// size in all. Here the zip is read while it is sent: once for each attempt, and once
// before for the signature.
func streamZip(zip io.ReaderAt, size int64) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Serialize.Insert(middleware.SerializeMiddlewareFunc("StreamZip",
			func(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (out middleware.SerializeOutput, metadata middleware.Metadata, err error) {
				request, ok := in.Request.(*smithyhttp.Request)
				if !ok {
					return out, metadata, errors.Errorf("unexpected request %T", in.Request)
				}
				written, err := io.ReadAll(request.GetStream())
				if err != nil {
					return out, metadata, err
				}
				head, tail, ok := bytes.Cut(written, noZip)
				if !ok {
					return out, metadata, errors.New("the request has no empty zip to replace")
				}
				body := newZipBody(string(head)+`"ZipFile":"`, zip, size, `"`+string(tail))
				digest := sha256.New()
				if _, err := io.Copy(digest, body); err != nil {
					return out, metadata, err
				}
				if _, err := body.Seek(0, io.SeekStart); err != nil {
					return out, metadata, err
				}
				ctx = v4.SetPayloadHash(ctx, hex.EncodeToString(digest.Sum(nil)))
				if in.Request, err = request.SetStream(body); err != nil {
					return out, metadata, err
				}
				return next.HandleSerialize(ctx, in)
			}), "OperationSerializer", middleware.After)
	}
}

// zipBody is the body of a request: the base64 of a zip between two pieces of text. It
// is an [io.ReadSeeker], so that it can be sent again.
type zipBody struct {
	head, tail string
	zip        io.ReaderAt
	size       int64 // of the zip, in bytes
	offset     int64
	raw, coded []byte
}

// zipChunk is how many bytes of a zip are encoded at a time. It is a multiple of three:
// base64 makes four characters of three bytes.
const zipChunk = 3 << 13

func newZipBody(head string, zip io.ReaderAt, size int64, tail string) *zipBody {
	return &zipBody{
		head: head, zip: zip, size: size, tail: tail,
		raw: make([]byte, zipChunk), coded: make([]byte, zipChunk/3*4),
	}
}

// codedSize is the length of the zip in base64.
func (b *zipBody) codedSize() int64 { return (b.size + 2) / 3 * 4 }

func (b *zipBody) Read(p []byte) (n int, err error) {
	inZip := b.offset - int64(len(b.head))
	inTail := inZip - b.codedSize()
	switch {
	case len(p) == 0:
		return 0, nil
	case inZip < 0:
		n = copy(p, b.head[b.offset:])
	case inTail < 0:
		n, err = b.encode(p, inZip)
	case inTail < int64(len(b.tail)):
		n = copy(p, b.tail[inTail:])
	default:
		return 0, io.EOF
	}
	b.offset += int64(n)
	return n, err
}

// encode reads the zip's base64 from the character with the index at.
func (b *zipBody) encode(p []byte, at int64) (int, error) {
	start, skip := at/4*3, int(at%4)
	raw := b.raw[:min(int64(len(b.raw)), b.size-start, int64(len(p)+skip+3)/4*3)]
	if _, err := io.ReadFull(io.NewSectionReader(b.zip, start, int64(len(raw))), raw); err != nil {
		return 0, errors.Wrap(err, "read the zip")
	}
	base64.StdEncoding.Encode(b.coded, raw)
	return copy(p, b.coded[skip:base64.StdEncoding.EncodedLen(len(raw))]), nil
}

func (b *zipBody) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.offset
	case io.SeekEnd:
		offset += int64(len(b.head)) + b.codedSize() + int64(len(b.tail))
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	b.offset = offset
	return offset, nil
}
