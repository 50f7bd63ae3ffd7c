package sandbox

import "strings"

// keyResource is the id under which a key's tags are kept.
func keyResource(arn string) string { return "kms:" + arn }

func checkKMSTags(params []kmsTag) (map[string]string, error) {
	tags := map[string]string{}
	for _, t := range params {
		if t.TagKey == "" || len([]rune(t.TagKey)) > 128 || len([]rune(t.TagValue)) > 256 || strings.HasPrefix(strings.ToLower(t.TagKey), "aws:") {
			return nil, fail("TagException", "The tag '%s' is not valid", t.TagKey)
		}
		if _, twice := tags[t.TagKey]; twice {
			return nil, fail("TagException", "Duplicate tag keys")
		}
		tags[t.TagKey] = t.TagValue
	}
	if len(tags) > maxTags {
		return nil, fail("TagException", "Too many tags")
	}
	return tags, nil
}

type kmsTagRequest struct {
	KeyId string
	Tags  []kmsTag
}

func tagKMSKey(q *call, in *kmsTagRequest) (*struct{}, error) {
	tags, err := checkKMSTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return q.changeKey(in.KeyId, "TagResource", func(k *kmsKeyRow) {
		all, _ := merged(q.ownTags(keyResource(k.arn())), tags)
		q.setTags(keyResource(k.arn()), all)
	})
}

type kmsUntagRequest struct {
	KeyId   string
	TagKeys []string
}

func untagKMSKey(q *call, in *kmsUntagRequest) (*struct{}, error) {
	return q.changeKey(in.KeyId, "UntagResource", func(k *kmsKeyRow) {
		left, _ := merged(q.ownTags(keyResource(k.arn())), nil)
		for _, key := range in.TagKeys {
			delete(left, key)
		}
		q.setTags(keyResource(k.arn()), left)
	})
}

type kmsTagsRequest struct {
	KeyId string
	kmsPageRequest
}

type kmsTagsAnswer struct {
	Tags       []kmsTag
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

func listKMSTags(q *call, in *kmsTagsRequest) (*kmsTagsAnswer, error) {
	k, err := q.ownKMSKey(in.KeyId, "ListResourceTags")
	if err != nil {
		return nil, err
	}
	var all []kmsTag
	for key, value := range q.ownTags(keyResource(k.arn())) {
		all = append(all, kmsTag{key, value})
	}
	rows, next, err := kmsPage(q, in.kmsPageRequest, 50, 50, all, func(t kmsTag) string { return t.TagKey })
	return &kmsTagsAnswer{append([]kmsTag{}, rows...), next, next != ""}, err
}
