CREATE TABLE `cross_signing_keys` (
	`user_id` text NOT NULL,
	`usage` text NOT NULL,
	`json` text NOT NULL,
	PRIMARY KEY(`user_id`, `usage`)
);
--> statement-breakpoint
CREATE TABLE `device_keys` (
	`user_id` text NOT NULL,
	`device_id` text NOT NULL,
	`json` text NOT NULL,
	PRIMARY KEY(`user_id`, `device_id`),
	FOREIGN KEY (`user_id`,`device_id`) REFERENCES `devices`(`user_id`,`device_id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `key_signatures` (
	`target_user` text NOT NULL,
	`target_key` text NOT NULL,
	`signer` text NOT NULL,
	`signer_key_id` text NOT NULL,
	`signature` text NOT NULL,
	PRIMARY KEY(`target_user`, `target_key`, `signer`, `signer_key_id`)
);
--> statement-breakpoint
CREATE TABLE `remote_members` (
	`user_id` text NOT NULL,
	`room_id` text NOT NULL,
	PRIMARY KEY(`user_id`, `room_id`)
);
--> statement-breakpoint
CREATE INDEX `remote_members_by_room` ON `remote_members` (`room_id`);