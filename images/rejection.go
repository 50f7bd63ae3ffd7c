package images

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// StateRemoved is the state of an image that is gone and of which only its rejection is kept.
const StateRemoved = "removed"

// rejection is what is kept of a rejected image, so that its recipe stays rejected when it is gone.
type rejection struct {
	Image  string    `json:"image"` // its id in the build location
	Reason string    `json:"reason"`
	When   time.Time `json:"when"` // it was noted, in UTC
}

// RejectionName is the name of the SSM parameter, in the build location, that keeps a rejection when the image is removed, by
// whatever hand: what is missing of main would be built again from the same recipe otherwise.
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
	return Image{ID: r.Image, Fleet: fleet, Role: role, Digest: "sha256:" + digest, State: StateRemoved, Rejected: r.Reason, RejectedAt: r.When}, true
}

// rejectedAt is when an image was rejected; otherwise is where that is not known.
func (i Image) rejectedAt(otherwise time.Time) time.Time {
	if i.RejectedAt.IsZero() {
		return otherwise
	}
	return i.RejectedAt
}

// KeepRejection notes in the build location that the recipe of an image is rejected, for as long as nobody takes it back. One
// that is noted already stays as it is, unless replace says that this is another rejection.
func KeepRejection(ctx context.Context, clients Clients, build Location, img Image, now time.Time, replace bool) error {
	api, err := clients.SSM(ctx, build)
	if err != nil {
		return fmt.Errorf("connecting to SSM of %s: %w", build, err)
	}
	value, err := json.Marshal(rejection{img.ID, img.Rejected, now.UTC().Truncate(time.Second)})
	if err != nil {
		return fmt.Errorf("encoding the rejection of %s: %w", img.ID, err)
	}
	_, err = api.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(RejectionName(img.Fleet, img.Role, img.Digest)), Value: aws.String(string(value)), Type: types.ParameterTypeString,
		Overwrite: aws.Bool(replace), Description: aws.String("imgops: the recipe of an image that was rejected; it is neither built again by itself nor promoted"),
	})
	if err != nil && (replace || Code(err) != "ParameterAlreadyExists") {
		return fmt.Errorf("keeping the rejection of %s: %w", img.ID, err)
	}
	return nil
}

// Rejections reads the images of a fleet whose rejection is kept in the build location, as far as they are known.
func Rejections(ctx context.Context, clients Clients, build Location, fleet string) ([]Image, error) {
	pointers, err := OpenPointers(ctx, clients, build, fleet)
	if err != nil {
		return nil, err
	}
	found, err := pointers.everything(ctx)
	return found.rejected, err
}

// notThere leaves out the images that are there: their own tags tell whether they are rejected. When, is noted on them.
func notThere(rejected, there []Image) []Image {
	at := make(map[string]time.Time, len(rejected))
	for _, img := range rejected {
		at[img.ID] = img.RejectedAt
	}
	has := map[string]bool{}
	for i := range there {
		if when, ok := at[there[i].ID]; ok {
			has[there[i].ID], there[i].RejectedAt = true, when
		}
	}
	return slices.DeleteFunc(rejected, func(img Image) bool { return has[img.ID] })
}
