package sandbox

import "github.com/imgops/imgops/images/sandbox/query"

type ancestryItem struct {
	Created      string `xml:"creationDate"`
	ID           string `xml:"imageId"`
	SourceID     string `xml:"sourceImageId,omitempty"`
	SourceRegion string `xml:"sourceImageRegion,omitempty"`
}

type ancestryAnswer struct {
	Entries query.List[ancestryItem] `xml:"imageAncestryEntrySet"`
}

// getImageAncestry goes from the image to the image that it was made from, and so on, as far as there are images that the caller can see.
func getImageAncestry(q *call, in *imageRequest) (*ancestryAnswer, error) {
	i, err := q.visibleImage(in.ImageId)
	if err != nil {
		return nil, err
	}
	out := &ancestryAnswer{}
	for seen := map[string]bool{}; !seen[i.ID]; {
		seen[i.ID] = true
		out.Entries.Items = append(out.Entries.Items, ancestryItem{timestamp(i.Created), i.ID, i.SourceImage, i.SourceFrom})
		if i.SourceImage == "" {
			break
		}
		from := *q
		if i.SourceFrom != "" {
			from = *q.at(i.SourceFrom)
		}
		above, err := from.visibleImage(i.SourceImage)
		if err != nil {
			return out, nil //nolint:nilerr // what it was made from is gone, or is not to be seen
		}
		i = above
	}
	return out, nil
}
