package images

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// StateRemoved is the state of an image that is gone and of which only its rejection is kept.
const StateRemoved = "removed"

// rejection is what is kept of a rejected image that was removed.
type rejection struct {
	Image  string    `json:"image"` // its id in the build location
	Reason string    `json:"reason"`
	When   time.Time `json:"when"` // it was removed, in UTC
}

// RejectionName is the name of the SSM parameter, in the build location, that keeps a rejection when the image is removed: a
// revert would have the same recipe built again otherwise.
func RejectionName(fleet, role, digest string) string {
	return "/imgops/" + fleet + "/" + role + "/rejected/" + strings.TrimPrefix(digest, "sha256:")
}

// readRejection gives the image whose rejection a parameter keeps, as far as it is known; ok is false for another parameter.
// One that cannot be read is a rejection all the same.
func readRejection(fleet string, e types.Parameter) (Image, bool) {
	rest, ours := strings.CutPrefix(aws.ToString(e.Name), "/imgops/"+fleet+"/")
	role, digest, found := strings.Cut(rest, "/rejected/")
	if !ours || !found || role == "" || strings.Contains(role, "/") || strings.Contains(digest, "/") {
		return Image{}, false
	}
	var r rejection
	if json.Unmarshal([]byte(aws.ToString(e.Value)), &r) != nil || r.Reason == "" {
		r.Reason = aws.ToString(e.Value)
	}
	return Image{ID: r.Image, Fleet: fleet, Role: role, Digest: "sha256:" + digest, State: StateRemoved, Rejected: r.Reason}, true
}

// keepRejection notes, before an image is removed, that its recipe is rejected.
func keepRejection(ctx context.Context, api SSMAPI, img Image, now time.Time) error {
	value, err := json.Marshal(rejection{img.ID, img.Rejected, now.UTC().Truncate(time.Second)})
	if err != nil {
		return fmt.Errorf("encoding the rejection of %s: %w", img.ID, err)
	}
	_, err = api.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(RejectionName(img.Fleet, img.Role, img.Digest)), Value: aws.String(string(value)), Type: types.ParameterTypeString,
		Overwrite: aws.Bool(true), Description: aws.String("imgops: the recipe of an image that was rejected, and removed since; it is not built again by itself"),
	})
	if err != nil {
		return fmt.Errorf("keeping the rejection of %s: %w", img.ID, err)
	}
	return nil
}
