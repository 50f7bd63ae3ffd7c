// Package query speaks the two query protocols of AWS: flattened form parameters in, XML out.
//
// Decode fills a request struct from parameters such as TagSpecification.1.Tag.2.Key and names every parameter that the
// struct has no field for. EC2Answer, STSAnswer, EC2Error and STSError write the envelopes of EC2 (2016-11-15) and of
// STS (2011-06-15). Nothing here knows an action, an account or a resource.
package query
