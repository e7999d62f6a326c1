package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/publish"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
)

// publishing is how far the layers have been published.
type publishing struct {
	lookUps, lookedUp     int // to be made, and begun
	uploads, published    int // under way, and ended well
	bytesSent, bytesBegun int64
	nextAttempt           time.Time
}

// publish tells that layers are going to be published.
func (p *progress) publish(layers int, regions []string) {
	where := regions[0]
	if len(regions) > 1 {
		where = count(len(regions), "region")
	}
	p.mu.Lock()
	p.lookUps = layers * len(regions)
	p.doing = p.publishingStatus
	p.mu.Unlock()
	if !p.onBars && layers > 0 {
		p.log("looking up %s in %s", count(layers, "layer"), where)
	}
}

func (p *progress) publishingStatus() string {
	s := fmt.Sprintf("looking up layers: asked for %d of %d", p.lookedUp, p.lookUps)
	if p.lookedUp == p.lookUps {
		s = "waiting for Lambda's answers"
	}
	if p.uploads+p.published > 0 {
		s = fmt.Sprintf("%d published, %s under way, %s of %s MB sent", p.published, count(p.uploads, "upload"), inMB(p.bytesSent), inMB(p.bytesBegun))
	}
	if wait := time.Until(p.nextAttempt); wait > 0 {
		s += "; next attempt in " + inSeconds(wait)
	}
	return s
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// publishProgress is a publish.Progress.
type publishProgress struct{ *progress }

func (p publishProgress) LookUp(publish.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookedUp++
}

func (p publishProgress) Retry(t publish.Target, why string, wait time.Duration) {
	p.mu.Lock()
	if next := time.Now().Add(wait); time.Now().After(p.nextAttempt) || next.Before(p.nextAttempt) {
		p.nextAttempt = next
	}
	p.mu.Unlock()
	p.log("%s in %s: %s; trying again in %s", t.File, t.Region, why, inSeconds(wait))
}

func (p publishProgress) Warn(_ publish.Target, message string) { p.warn(message) }

func (p publishProgress) Upload(t publish.Target, size int64) publish.Upload {
	p.mu.Lock()
	p.uploads++
	p.bytesBegun += size
	p.mu.Unlock()
	u := &upload{publishProgress: p, Target: t, bar: p.newBar(t.File+" to "+t.Region, size)}
	if !p.onBars {
		p.log("uploading %s to %s (%s)", t.File, t.Region, types.FormatSize(size))
	}
	return u
}

// upload is a publish.Upload.
type upload struct {
	publishProgress
	publish.Target
	bar  *bar
	sent int64
}

func (u *upload) Sent(n int64) {
	u.bar.set(n)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytesSent += n - u.sent
	u.sent = n
}

func (u *upload) Done(err error) {
	u.bar.end()
	u.mu.Lock()
	u.uploads--
	if err == nil {
		u.progress.published++
	}
	u.mu.Unlock()
	switch {
	case err == nil && !u.onBars:
		u.log("published %s in %s", u.File, u.Region)
	case err != nil && !errors.Is(err, context.Canceled):
		u.log("publishing %s in %s failed", u.File, u.Region)
	}
}
