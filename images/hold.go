package images

import (
	"cmp"
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

// Hold keeps the defaults of a role where they are until it is released, whatever main says.
type Hold struct {
	Role   string    `json:"role"`
	Reason string    `json:"reason"`
	Who    string    `json:"who"`
	When   time.Time `json:"when"`   // UTC
	Commit string    `json:"commit"` // of the fleet at hand when it was made
	// Image is what a rollback went to, in the build location; "" where a person only said hold.
	Image string `json:"image,omitempty"`
}

// String tells of the hold in a line.
func (h Hold) String() string {
	text := "held by " + cmp.Or(h.Who, "somebody") + " since " + cmp.Or(formatTime(h.When), "some time") + ": " + h.Reason
	if h.Image != "" {
		text += " (rolled back to " + h.Image + ")"
	}
	return text
}

// HeldError says that a role is held already.
type HeldError struct{ Hold Hold }

func (e *HeldError) Error() string {
	return fmt.Sprintf("role %s is %s; to let it go: imgops release %s", e.Hold.Role, e.Hold, e.Hold.Role)
}

// HoldName is the name of the SSM parameter, in the build location, that holds a role.
func HoldName(fleet, role string) string { return "/imgops/" + fleet + "/" + role + "/hold" }

func heldRole(fleet, name string) (role string, ok bool) { return roleIn(fleet, name, "/hold") }

// readHold decodes a hold. One that cannot be read is a hold all the same: somebody meant to stop something.
func readHold(role string, e types.Parameter) Hold {
	h := Hold{}
	if err := json.Unmarshal([]byte(aws.ToString(e.Value)), &h); err != nil {
		h = Hold{Reason: aws.ToString(e.Value)}
	}
	h.Role = role
	if h.When.IsZero() {
		h.When = aws.ToTime(e.LastModifiedDate)
	}
	h.When = h.When.UTC().Truncate(time.Second)
	return h
}

// Holds reads, makes and ends the holds of a fleet. They are kept in the build location.
type Holds struct {
	pointers *Pointers
}

// OpenHolds gives the holds of a fleet, with the client of the build location.
func OpenHolds(ctx context.Context, clients Clients, build Location, fleet string) (*Holds, error) {
	pointers, err := OpenPointers(ctx, clients, build, fleet)
	if err != nil {
		return nil, err
	}
	return &Holds{pointers}, nil
}

// Of reads the holds of some roles, keyed by role; those that are not held are missing. It costs one call for up to
// ten roles; for more it reads the fleet's parameters in pages.
func (h *Holds) Of(ctx context.Context, roles ...string) (map[string]Hold, error) {
	if len(roles) > 10 {
		all, err := h.pointers.everything(ctx)
		for role := range all.holds {
			if !slices.Contains(roles, role) {
				delete(all.holds, role)
			}
		}
		return all.holds, err
	}
	found := map[string]Hold{}
	if len(roles) == 0 {
		return found, nil
	}
	in := &ssm.GetParametersInput{}
	for _, role := range roles {
		in.Names = append(in.Names, HoldName(h.pointers.fleet, role))
	}
	out, err := h.pointers.api.GetParameters(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("reading the holds of fleet %s in %s: %w", h.pointers.fleet, h.pointers.loc, err)
	}
	for _, e := range out.Parameters {
		if role, ok := heldRole(h.pointers.fleet, aws.ToString(e.Name)); ok {
			found[role] = readHold(role, e)
		}
	}
	return found, nil
}

// Create holds a role. One that is held already is a *HeldError; of two that try at once, one gets it.
func (h *Holds) Create(ctx context.Context, hold Hold) error {
	err := h.put(ctx, hold, false)
	if Code(err) != "ParameterAlreadyExists" {
		return err
	}
	found, readErr := h.Of(ctx, hold.Role)
	if readErr != nil {
		return readErr
	}
	if old, ok := found[hold.Role]; ok {
		return &HeldError{old}
	}
	return fmt.Errorf("role %s was held and released this very moment; run it again: %w", hold.Role, err)
}

// Replace holds a role, and takes the place of a hold that is there; SSM keeps the old one in the parameter's history.
func (h *Holds) Replace(ctx context.Context, hold Hold) error { return h.put(ctx, hold, true) }

func (h *Holds) put(ctx context.Context, hold Hold, overwrite bool) error {
	hold.When = hold.When.UTC().Truncate(time.Second)
	value, err := json.Marshal(hold)
	if err != nil {
		return fmt.Errorf("encoding the hold of role %s: %w", hold.Role, err)
	}
	_, err = h.pointers.api.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(HoldName(h.pointers.fleet, hold.Role)), Value: aws.String(string(value)), Type: types.ParameterTypeString,
		Overwrite: aws.Bool(overwrite), Description: aws.String("imgops: holds the defaults of role " + hold.Role + " in fleet " + h.pointers.fleet),
	})
	if err != nil {
		return fmt.Errorf("holding role %s in %s: %w", hold.Role, h.pointers.loc, err)
	}
	return nil
}

// Release ends the hold of a role and returns it; ok is false where there was none.
func (h *Holds) Release(ctx context.Context, role string) (old Hold, ok bool, err error) {
	found, err := h.Of(ctx, role)
	if err != nil {
		return Hold{}, false, err
	}
	old, ok = found[role]
	if !ok {
		return Hold{}, false, nil
	}
	_, err = h.pointers.api.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String(HoldName(h.pointers.fleet, role))})
	if err != nil && Code(err) != "ParameterNotFound" {
		return old, true, fmt.Errorf("releasing role %s in %s: %w", role, h.pointers.loc, err)
	}
	return old, true, nil
}

// held marks the defaults of held roles. What else is the matter with one is said in its note.
func held(list []Default, holds map[string]Hold) []Default {
	for i := range list {
		d := &list[i]
		hold, ok := holds[d.Role]
		if !ok {
			continue
		}
		note := hold.String()
		if d.Status != StatusOrphan {
			if d.Status == StatusMissing || d.Status == StatusDrifted {
				note += "; the pointer is " + string(d.Status)
			}
			d.Status = StatusHeld
		}
		d.Note = strings.Join(slices.DeleteFunc([]string{note, d.Note}, func(s string) bool { return s == "" }), "; ")
	}
	return list
}
