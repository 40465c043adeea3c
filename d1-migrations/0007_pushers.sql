CREATE TABLE `pushers` (
	`app_id` text NOT NULL,
	`pushkey` text NOT NULL,
	`user_id` text NOT NULL,
	PRIMARY KEY(`app_id`, `pushkey`, `user_id`)
);
